"""The watchdog with a real nginx and a scripted core: serving, kill -9, reload, addresses, refusals."""

from __future__ import annotations

import dataclasses
import json
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from passenger.instance.plan import Listen, Plan
from tests.support.watchdog import (
    DEADLINE,
    Watchdog,
    free_port,
    kill,
    make_plan,
    nginx_conf,
    registry,
    running,
    wait_gone,
)

RESOLVER = """
import json, sys
plan = json.load(sys.stdin)
plan.update(json.load(open(sys.argv[1])))
json.dump(plan, sys.stdout)
"""


def get(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/", timeout=DEADLINE) as response:
        text: str = response.read().decode()
        return text


def reloadable(plan: Plan, changes: Path) -> Plan:
    """A plan whose reload applies the JSON in a file."""
    return dataclasses.replace(plan, reload_argv=[sys.executable, "-c", RESOLVER, str(changes)])


def is_refused(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def new_page(watchdog: Watchdog, ports: list[int], answer: str) -> dict[str, object]:
    return {
        "nginx_files": {"nginx.conf": nginx_conf(watchdog.paths.root, ports, answer)},
        "nginx_listen": [{"host": "127.0.0.1", "port": port} for port in ports],
    }


def test_nginx_serves_when_ready_and_drains_first() -> None:
    """Ready means that a client is answered; at the stop nginx ends before the core is told to drain."""
    port = free_port()
    with registry() as folder, running(make_plan(folder, ports=[port])) as watchdog:
        assert watchdog.wait_ready() == {"ready": True}
        assert get(port) == "first"
        conf = Path(watchdog.paths.nginx_conf)
        assert conf.stat().st_mode & 0o777 == 0o600
        watchdog.signal(signal.SIGTERM)
        watchdog.wait_line("nginx ended .*exited with status 0")  # its own lines come by a pipe, at any time
        watchdog.wait_line(r'core got .*"drain"')
        assert watchdog.wait_exit() == 0
        assert is_refused(port)
        watchdog.everything()


def test_killed_nginx_master_is_back_on_the_same_addresses() -> None:
    """kill -9 of the master: its workers are asked to finish, a new master serves; the core is not touched."""
    port = free_port()
    with registry() as folder, running(make_plan(folder, ports=[port])) as watchdog:
        watchdog.wait_ready()
        core = watchdog.pid_of("core")
        master = watchdog.pid_of("nginx")
        workers = [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
        assert workers
        kill(master)
        watchdog.wait_line("nginx was killed by SIGKILL; it is started again at once")
        watchdog.wait_line("nginx is back")
        assert get(port) == "first"
        for worker in workers:
            wait_gone(worker)
        assert watchdog.pid_of("core") == core
        watchdog.signal(signal.SIGTERM)
        assert watchdog.wait_exit() == 0
        watchdog.everything()


def test_no_nginx_outlives_the_watchdog() -> None:
    """kill -9 of the watchdog: the address is free again."""
    port = free_port()
    with registry() as folder, running(make_plan(folder, ports=[port])) as watchdog:
        watchdog.wait_ready()
        pids = [watchdog.pid_of("nginx"), watchdog.pid_of("core")]
        watchdog.process.kill()
        for pid in pids:
            wait_gone(pid)
        watchdog.everything()
        assert is_refused(port)


def test_port_in_use_names_address_and_owner() -> None:
    """Nothing is started when an address is taken; the message says who has it."""
    with registry() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(make_plan(folder, ports=[port])) as watchdog:
            error = watchdog.wait_ready()["error"]
            assert f"cannot listen on 127.0.0.1:{port}: the port is already in use by process " in error
            assert watchdog.wait_exit() == 1
            assert "core " not in watchdog.everything().replace("core_api", "")
            assert not Path(watchdog.paths.root).exists()


def test_refused_nginx_configuration_is_the_error_state() -> None:
    """`nginx -t` comes before nginx; its words reach the starter, and everything is stopped."""
    port = free_port()
    with registry() as folder:
        plan = make_plan(folder, ports=[port], nginx_files={"nginx.conf": "nonsense here;\n"})
        with running(plan) as watchdog:
            error = watchdog.wait_ready()["error"]
            assert "refused its configuration" in error
            assert 'unknown directive "nonsense"' in error
            assert "set `nginx.binary`" in error, "and what to do"
            assert watchdog.wait_exit() == 1


SLEEPY = """
import os, signal, sys
if "-t" in sys.argv:
    sys.exit()
noted = []
for number in (signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, lambda *_: noted.append(1))
signal.signal(signal.SIGCHLD, lambda *_: noted and os._exit(0))
os.write(2, b"sleepy is up\\n")
while True:
    signal.pause()
"""


def test_a_message_that_a_starting_nginx_slept_through_is_noticed(tmp_path: Path) -> None:
    """A master that gets a signal before its main loop acts on it at the next signal only: it gets one."""
    script = tmp_path / "nginx.py"
    script.write_text(SLEEPY)
    with registry() as folder:
        plan = dataclasses.replace(make_plan(folder, ports=[free_port()]), nginx_argv=[sys.executable, str(script)])
        with running(plan) as watchdog:
            watchdog.wait_line("sleepy is up")
            watchdog.signal(signal.SIGTERM)
            watchdog.wait_exit()
            assert "SIGKILL" not in watchdog.everything()


def test_missing_nginx_is_the_error_state() -> None:
    """A program that is not there is named."""
    with registry() as folder, running(make_plan(folder, ports=[free_port()], nginx_argv=["/no/nginx"])) as watchdog:
        assert "/no/nginx" in watchdog.wait_ready()["error"]
        assert watchdog.wait_exit() == 1


@pytest.mark.parametrize("by_signal", [True, False])
def test_reload_applies_core_and_nginx(tmp_path: Path, *, by_signal: bool) -> None:
    """HUP or the api: the core gets the new configuration, nginx serves the new files, pids stay."""
    port = free_port()
    changes = tmp_path / "changes.json"
    with registry() as folder, running(reloadable(make_plan(folder, ports=[port]), changes)) as watchdog:
        watchdog.wait_ready()
        pids = watchdog.pid_of("core"), watchdog.pid_of("nginx")
        new = {**new_page(watchdog, [port], "second"), "core_config": {"apps": 2}, "shown_config": {"apps": 2}}
        changes.write_text(json.dumps({**new, "core_argv": ["other"]}))
        if by_signal:
            watchdog.signal(signal.SIGHUP)
            watchdog.wait_line("some changes need a restart of the instance fields=core_argv")
            watchdog.wait_line("watchdog: reloaded")
        else:
            answer = watchdog.ask("reload")
            assert answer == {"ok": True, "report": {"core": {"got": {"apps": 2}}, "restart_needed": ["core_argv"]}}
        assert get(port) == "second", "the answer says that it is so, and not that it will be"
        assert (watchdog.pid_of("core"), watchdog.pid_of("nginx")) == pids
        assert json.loads(Path(watchdog.paths.config).read_text()) == {"apps": 2}
        kill(pids[0])
        watchdog.wait_line(r'core \d+ started .*config={"apps": 2}')


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"core_config": {"bad": 1}}, "bad configuration"),
        ({"nginx_files": {"nginx.conf": "nonsense here;\n"}}, "unknown directive"),
        ("not json", "JSONDecodeError"),
    ],
)
def test_failed_reload_changes_nothing(tmp_path: Path, change: object, reason: str) -> None:
    """Whoever refuses, the caller gets the reason and everything stays as it was."""
    port = free_port()
    changes = tmp_path / "changes.json"
    changes.write_text(change if isinstance(change, str) else json.dumps(change))
    with registry() as folder, running(reloadable(make_plan(folder, ports=[port]), changes)) as watchdog:
        watchdog.wait_ready()
        answer = watchdog.ask("reload")
        assert answer["ok"] is False
        assert reason in answer["error"]
        assert get(port) == "first"
        assert [p.name for p in Path(watchdog.paths.nginx).iterdir() if p.name.isdigit()] == ["1"]
        assert watchdog.ask("status")["state"] == "running"


def test_reload_moves_to_other_addresses(tmp_path: Path) -> None:
    """A new address is bound and served, the old one is refused, and a taken one changes nothing."""
    old, new = free_port(), free_port()
    changes = tmp_path / "changes.json"
    with registry() as folder, running(reloadable(make_plan(folder, ports=[old]), changes)) as watchdog:
        watchdog.wait_ready()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            changes.write_text(json.dumps(new_page(watchdog, [old, taken.getsockname()[1]], "second")))
            assert "already in use" in watchdog.ask("reload")["error"]
        anywhere = new_page(watchdog, [old], "second") | {"nginx_listen": [{"host": "0.0.0.0", "port": old}]}
        changes.write_text(json.dumps(anywhere))
        assert "needs a restart of the instance" in watchdog.ask("reload")["error"]
        assert get(old) == "first"
        first_master = watchdog.pid_of("nginx")
        changes.write_text(json.dumps(new_page(watchdog, [new], "second")))
        assert watchdog.ask("reload")["ok"] is True
        assert get(new) == "second"
        wait_gone(first_master)
        assert is_refused(old)
        kill(watchdog.pid_of("nginx"))
        watchdog.wait_line("nginx is back")
        assert get(new) == "second"


def test_ipv6_beside_ipv4() -> None:
    """The same port on 127.0.0.1 and ::1 are two addresses."""
    port = free_port()
    with registry() as folder:
        plan = make_plan(folder, ports=[port])
        text = plan.nginx_files["nginx.conf"].replace("listen", f"listen [::1]:{port} ipv6only=on; listen", 1)
        both = [*plan.nginx_listen, Listen(host="::1", port=port)]
        with running(dataclasses.replace(plan, nginx_files={"nginx.conf": text}, nginx_listen=both)) as watchdog:
            assert watchdog.wait_ready() == {"ready": True}
            with urlopen(f"http://[::1]:{port}/", timeout=DEADLINE) as response:
                assert response.read() == b"first"
