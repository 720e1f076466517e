"""Traffic control through real nginx: pauses under load, maintenance, drain, sticky sessions."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

KEYS = """
min_instances = 3
max_instances = 3
max_request_queue_size = 2000
sticky_sessions = true
queue_time_header = true
"""


class Site:
    """One application of one request at a time, and somebody who asks it."""

    def __init__(self, instance: RunningInstance, root: Path, port: int) -> None:
        self.instance = instance
        self.root = root
        self.port = port

    def command(self, *words: str, status: int = 0) -> str:
        done = self.instance.run(*words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def traffic(self) -> Any:
        return self.instance.status()["pool"]["groups"][0]["traffic"]

    def get(self, path: str = "/", **headers: str) -> Any:
        return fetch(self.port, path, headers=headers)


@pytest.fixture
def site(installation: Installation, place: Path) -> Iterator[Site]:
    root, port = projects.copy("releases", place), free_port()
    (root / "release").write_text("v1")
    config = place / "passenger.toml"
    config.write_text(
        f"""
config_version = 1
[instances.main]
nginx.listen = ["127.0.0.1:{port}"]
[apps.shop]
app_root = "{root}"
{KEYS}
"""
    )
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        yield Site(instance, root, port)


def test_a_pause_of_two_seconds_under_load_costs_nothing(site: Site) -> None:
    """Sent = answered: 400 requests and more are held, and go on in the order in which they came."""
    with load(site.port, rate=200.0) as result:
        wait_until_count(result, 100)
        assert "nothing runs" in site.command("pause", "shop")
        wait_until(lambda: site.traffic()["held"] >= 400, "400 held requests")
        assert re.search(r"PAUSED for \d+s: \d+ requests held", site.command("status"))
        assert "resumed" in site.command("resume")
        answered = len(result.outcomes)
        wait_until_count(result, answered + 200)
    assert not result.failed, [(one.status, one.problem) for one in result.failed][:5]
    assert result.worst_latency >= 1.0, "requests were held"
    assert site.traffic() is None


def test_a_request_that_is_held_for_too_long_is_refused_and_the_pause_goes_on(site: Site) -> None:
    site.command("pause", "--all", "--hold", "0.5")
    held = site.get()
    assert (held.status, held.headers["retry-after"]) == (504, "5")
    assert site.traffic()["expired"] == 1
    site.command("resume", "--all")
    assert site.get().status == 200


def test_maintenance_has_its_own_page_and_outlives_the_core(site: Site, place: Path) -> None:
    page = place / "away.html"
    page.write_text("<h1>Gone fishing \u00fc</h1>")
    site.command("maintenance", "on", "shop", "--page", str(page), "--allow", "192.0.2.1", "--retry-after", "7")
    site.command("drain")
    site.command("pause")
    core = site.instance.status()["core_pid"]
    for _ in range(2):
        away = site.get()
        assert (away.status, away.headers["retry-after"]) == (503, "7")
        assert away.text == page.read_text()
        assert "drained by an operator" in site.instance.run("health").stderr
        if site.instance.status()["core_pid"] == core:
            os.kill(core, signal.SIGKILL)
            wait_until(lambda: _core_pid(site) not in (None, core), "another core")
    assert site.traffic()["paused_at"]
    told = site.command("status")
    assert "UNDER MAINTENANCE" in told
    assert "DRAINED" in told
    site.command("resume")
    site.command("drain", "off")
    site.command("maintenance", "off", "shop")
    assert site.get().status == 200
    site.instance.wait_started()


def _core_pid(site: Site) -> int | None:
    done = site.instance.run("status", "--format", "json")
    pid: int | None = json.loads(done.stdout).get("core_pid") if done.returncode == 0 else None
    return pid


def test_a_drained_instance_says_so_and_serves(site: Site) -> None:
    assert site.instance.run("health").returncode == 0
    site.command("drain")
    assert site.instance.run("health").returncode == 1
    assert site.instance.run("health", "--live").returncode == 0
    assert site.get().status == 200
    assert "no request came for 0.1 s" in site.command("drain", "--wait", "--quiet", "0.1")
    site.command("drain", "off")
    assert site.instance.run("health").returncode == 0


def test_a_client_stays_with_its_process_until_that_dies(site: Site) -> None:
    """E10: another process, a new cookie, no error; no second cookie while nothing changes."""
    first = site.get()
    cookie = first.headers["set-cookie"]
    named = re.fullmatch(r"(_passenger_route=[A-Za-z0-9_-]{22}); Path=/; HttpOnly; SameSite=Lax", cookie)
    assert named
    pid = first.text.split()[1]
    with load(site.port, "/work", rate=50.0) as others:
        wait_until_count(others, 10)
        for _ in range(20):
            again = site.get(Cookie=f"a=b; {named[1]}")
            assert again.text.split()[1] == pid
            assert "set-cookie" not in again.headers
    assert not others.failed
    os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: int(pid) not in _pids(site), "the end of the process")
    other = site.get(Cookie=named[1])
    assert other.status == 200
    assert other.text.split()[1] != pid
    assert other.headers["set-cookie"].split(";")[0] != named[1]


def test_clients_of_a_rolling_restart_stay_until_their_process_leaves(site: Site) -> None:
    """E10: the cookie of an old process leads to it while it serves; then to another one, with a new cookie, no error."""
    (site.root / "release").write_text("v2")
    clients: dict[str, str] = {}
    while len(clients) < 3:  # each process has one
        with load(site.port, "/work", rate=100.0) as others:
            wait_until_count(others, 20)
            first = site.get()
            clients[first.text.split()[1]] = first.headers["set-cookie"].split(";")[0]
    stayed = dict.fromkeys(clients, 0)
    moved: set[str] = set()
    with load(site.port, "/work", rate=50.0) as others, ThreadPoolExecutor() as pool:
        restart = pool.submit(site.command, "restart-app", "shop")
        while not restart.done() or len(moved) < 3:
            for pid, cookie in clients.items():
                if pid in moved:
                    continue
                answer = site.get(Cookie=cookie)
                assert answer.status == 200
                if answer.text.split()[1] == pid:
                    stayed[pid] += 1
                    assert "set-cookie" not in answer.headers
                else:
                    moved.add(pid)
                    assert answer.headers["set-cookie"].split(";")[0] != cookie
                    assert int(pid) not in _serving(site), "it was left while it served"
    assert not others.failed
    assert max(stayed.values()) >= 3, "nobody was replaced before its turn"
    last = [site.get(Cookie=cookie) for cookie in clients.values()]
    assert all(answer.text.startswith("v2 ") for answer in last)


def _serving(site: Site) -> set[int]:
    processes = site.instance.status()["pool"]["groups"][0]["processes"]
    return {process["pid"] for process in processes if process["state"] == "enabled"}


def _pids(site: Site) -> set[int]:
    return {process["pid"] for process in site.instance.status()["pool"]["groups"][0]["processes"]}


def test_nobody_gets_a_process_of_a_name_that_is_made_up(site: Site) -> None:
    for made_up in ("", "0", "x" * 4000, "../..", '"', "%00"):
        answer = site.get(Cookie=f"_passenger_route={made_up}")
        assert answer.status == 200
        assert "_passenger_route=" in answer.headers["set-cookie"]


def test_usage_is_refused_with_a_reason(site: Site) -> None:
    for words, status, why in (
        (("pause", "nosuch"), 1, "no application is called"),
        (("maintenance", "on", "--page", "/nonexistent"), 1, "cannot read"),
        (("maintenance", "on", "--allow", "everybody"), 1, "may not pass"),
        (("maintenance", "off", "--page", "x"), 2, "go with `on`"),
        (("resume", "--all", "shop"), 2, "exclude each other"),
    ):
        done = site.instance.run(*words)
        assert done.returncode == status, done.stderr
        assert why in done.stderr
    assert site.traffic() is None


def test_held_requests_of_clients_that_leave_are_forgotten_and_a_stop_serves_the_rest(site: Site) -> None:
    site.command("pause")
    with socket.create_connection(("127.0.0.1", site.port)) as leaver:
        leaver.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: site.traffic()["held"] == 1, "a held request")
    wait_until(lambda: site.traffic()["held"] == 0, "its end")
    with socket.create_connection(("127.0.0.1", site.port)) as stayer:
        stayer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        wait_until(lambda: site.traffic()["held"] == 1, "another held request")
        assert site.instance.stop() == 0
        assert stayer.recv(65536).startswith(b"HTTP/1.1 200 OK")
