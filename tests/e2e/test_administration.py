"""Administration of a real instance: roles, views, logs and their rotation under load, memory, doctor, top."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import DEADLINE, RunningInstance, environment, free_port, registry

APP = """
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    print("asked for", environ["PATH_INFO"], flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
SECRET = "the-secret-of-the-blog"


class Site:
    """One application of two processes behind nginx, everything in one log file."""

    def __init__(self, installation: Installation, place: Path, folder: Path) -> None:
        root = place / "blog"
        root.mkdir()
        (root / "passenger_wsgi.py").write_text(APP)
        hand_over(root)
        self.port = free_port()
        self.log = place / "log" / "passenger.log"
        self.log.parent.mkdir()
        self.access = place / "log" / "access.log"
        self.bin = Path(installation.passenger).parent
        config = place / "passenger.toml"
        config.write_text(
            "config_version = 1\n[instances.main.nginx]\n"
            f'listen = ["127.0.0.1:{self.port}"]\n'
            f'[apps.blog]\napp_root = "{root}"\nmin_instances = 2\nenv.SECRET = "{SECRET}"\n'
        )
        self.instance = RunningInstance(
            installation.passenger, config, registry=folder, arguments=("--log-file", str(self.log))
        )

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of the installed programs."""
        return subprocess.run(
            [str(self.bin / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env=environment(self.instance.registry),
            cwd=self.log.parent,
        )


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[Site]:
    """Started once for all tests here."""
    with registry() as folder:
        made = Site(installation, shared_place, folder)
        try:
            wait_until(lambda: made.run("passenger", "health").returncode == 0, "health", timeout=DEADLINE)
            yield made
        finally:
            made.instance.kill_everything()


def test_every_view_of_passenger_status(site: Site) -> None:
    """Pool, XML and JSON agree; nothing of them holds a secret."""
    views = {
        view: site.run("passenger-status", f"--show={view}") for view in ("pool", "xml", "json", "server", "backtraces")
    }
    assert {view: (done.returncode, done.stderr) for view, done in views.items()} == dict.fromkeys(views, (0, ""))
    groups = json.loads(views["json"].stdout)
    pids = sorted(process["pid"] for process in groups["blog"]["processes"])
    assert len(pids) >= 2
    assert sorted(int(found.text or 0) for found in ET.fromstring(views["xml"].stdout).iter("pid")) == pids
    assert all(f"PID: {pid}" in views["pool"].stdout for pid in pids)
    assert json.loads(views["server"].stdout)["draining"] is False
    assert "Thread MainThread" in views["backtraces"].stdout
    assert not [view for view, done in views.items() if SECRET in done.stdout]


def test_memory_of_all_that_runs(site: Site) -> None:
    """nginx, watchdog and core, the application's processes with its name; figures add up."""
    document = json.loads(site.run("passenger-memory-stats", "--format", "json").stdout)
    kinds: dict[str, list[dict[str, object]]] = {}
    for item in document["processes"]:
        kinds.setdefault(item["kind"], []).append(item)
    assert {"nginx", "passenger", "app"} == set(kinds)
    blog = {item["pid"] for item in kinds["app"] if item["app"] == "blog"}
    groups = site.instance.status()["pool"]["groups"]
    assert blog == {process["pid"] for process in groups[0]["processes"]}
    assert site.instance.process.pid in {item["pid"] for item in kinds["passenger"]}
    assert document["totals"]["pss"] == sum(item["pss"] for item in document["processes"])


def test_doctor_finds_nothing_wrong(site: Site) -> None:
    """The machine of the tests runs it; a mistake in the file is found with 78."""
    done = site.run("passenger", "doctor", str(site.instance.config), "--format", "json")
    findings = json.loads(done.stdout)
    assert done.returncode == 0, [found for found in findings if found["verdict"] == "fail"]
    what = {found["what"]: found for found in findings}
    assert {"nginx", "app blog", "max_pool_size of main", "open files", "instance main"} <= set(what)
    assert "Python 3" in what["app blog"]["how"]
    assert all(found["todo"] for found in findings if found["verdict"] != "ok")
    broken = site.run("passenger", "doctor", str(site.instance.config), "--set", "apps.blog.python=/nowhere/python")
    assert broken.returncode == 78
    assert "fail  E405" in broken.stdout


def test_an_interpreter_that_cannot_run_fails(site: Site, place: Path) -> None:
    """It exists, so the file is valid; only running it tells."""
    fake = place / "python"
    fake.write_text("#!/nowhere\n")
    fake.chmod(0o755)
    done = site.run("passenger", "doctor", str(site.instance.config), "--set", f"apps.blog.python={fake}")
    assert done.returncode == 1
    assert "fail  app blog" in done.stdout
    assert "name another with `python`" in done.stdout


def test_logs_are_chosen_and_shown(site: Site) -> None:
    """From the file: the application's lines, and nothing else."""
    assert fetch(site.port, "/needle").status == 200
    wait_until(lambda: "asked for /needle" in site.log.read_text(), "the application's line")
    done = site.run("passenger", "logs", "--app", "blog", "--level", "info")
    assert (done.returncode, done.stderr) == (0, "")
    assert "asked for /needle" in done.stdout
    assert '"GET /needle' not in done.stdout
    assert '"GET /needle' in site.run("passenger", "logs").stdout


def test_rotation_under_load_loses_no_line(site: Site) -> None:
    """Four rotations at 100 requests per second: each request has its line of the application and one of nginx's."""
    rotated = []
    with load(site.port, "/load", rate=100) as sent:
        for number in range(4):
            wait_until_count(sent, 60 * (number + 1))
            rotated.append(site.log.rename(site.log.with_suffix(f".{number}")))
            done = site.run("passenger", "reopen-logs")
            assert (done.returncode, done.stdout) == (0, f"{site.log}: opened anew\n")
    assert not sent.failed

    def lines(word: str) -> int:
        return sum(file.read_text().count(word) for file in [*rotated, site.log])

    wait_until(lambda: lines("asked for /load\n") >= len(sent.outcomes), "every line of the application")
    wait_until(lambda: lines('"GET /load HTTP') >= len(sent.outcomes), "every line of nginx")
    assert lines("asked for /load\n") == lines('"GET /load HTTP') == len(sent.outcomes)
    assert all("the log file was opened anew" in file.read_text() for file in [*rotated[1:], site.log])


def test_access_log_of_nginx_is_opened_anew(site: Site) -> None:
    """After a reload has given it a file of its own, that file is reopened, too."""
    site.instance.config.write_text(
        site.instance.config.read_text().replace("listen =", f'access_log = "{site.access}"\nlisten =')
    )
    assert site.run("passenger", "reload").returncode == 0
    wait_until(lambda: fetch(site.port, "/own").status == 200 and "/own" in _text(site.access), "nginx's own file")
    site.access.rename(site.access.with_suffix(".1"))
    done = site.run("passenger-config", "reopen-logs")
    assert done.stdout.splitlines() == [f"{site.log}: opened anew", "nginx: opened anew"]
    wait_until(lambda: fetch(site.port, "/new").status == 200 and "/new" in _text(site.access), "the new file")


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def test_top_restarts_an_application(site: Site) -> None:
    """On a real terminal, by a key and a yes: all processes are other ones then."""
    before = {process["pid"] for process in site.instance.status()["pool"]["groups"][0]["processes"]}
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [str(site.bin / "passenger"), "top", "--interval", "0.5"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(site.instance.registry) | {"TERM": "xterm"},
        start_new_session=True,
    )
    os.close(slave)
    try:
        _until(master, "q quit")
        os.write(master, b"ry")
        _until(master, "blog is being restarted")
        os.write(master, b"q")
        assert child.wait(DEADLINE) == 0
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)

    def pids() -> set[int]:
        return {process["pid"] for process in site.instance.status()["pool"]["groups"][0]["processes"]}

    wait_until(lambda: len(pids() - before) >= 2 and not pids() & before, "new processes", timeout=DEADLINE)


def _until(master: int, word: str) -> None:
    """Read the terminal until a word is on it."""
    text, ends = "", time.monotonic() + DEADLINE
    while word not in text:
        assert select.select([master], [], [], max(0.0, ends - time.monotonic()))[0], text
        text += os.read(master, 65536).decode("utf-8", "replace")
