"""Stopping, killing, reaping: PID 1's duties, and what an orchestrator sees of them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containerapps import HARDENED, mounted, write, wsgi
from tests.support.engine import Container, Engine

FOUR_AT_A_TIME = """
config_version = 1
[instances.main.nginx]
listen = ["0.0.0.0:8080"]
[apps.app]
app_root = "/app"
min_instances = 4
max_instances = 4
"""


@pytest.fixture
def serving(engine: Engine, base: str, place: Path) -> Iterator[Container]:
    """A hardened container with an application, and a FIFO that lets its slow requests go on."""
    app = write(wsgi(place), {"passenger.toml": FOUR_AT_A_TIME})
    gate = write(place / "gate", {})
    os.mkfifo(gate / "slow")
    (gate / "slow").chmod(0o666)
    with engine.running(base, options=(*HARDENED, *mounted(app), *mounted(gate, "/gate"))) as container:
        yield container.wait_ready()


def _started(container: Container) -> None:
    """Until all `min_instances` are there."""
    while container.exec("passenger", "health", "--startup", check=False).returncode:
        assert container.inspect()["State"]["Running"], container.logs()


@pytest.mark.parametrize("signal", ["TERM", "INT", "QUIT"])
def test_drain_finishes_slow_requests(serving: Container, place: Path, signal: str) -> None:
    """All in flight are answered whole, later ones are refused, and the status is 0."""
    _started(serving)
    answers: list[str] = []
    slow = [threading.Thread(target=lambda: answers.append(serving.fetch("/slow").text)) for _ in range(4)]
    for thread in slow:
        thread.start()
    while serving.logs().count("slow request began") < 4:
        assert serving.inspect()["State"]["Running"]
    serving.signal(signal)
    serving.wait_for("requests in progress get 60 s to finish")
    with pytest.raises(OSError):
        serving.fetch("/", timeout=5)
    _open(place / "gate" / "slow", slow)
    assert answers == ["slow but whole"] * 4
    assert serving.wait_exit() == 0, serving.logs()


def _open(fifo: Path, readers: list[threading.Thread]) -> None:
    """Those that wait at this moment go on; who comes to it later needs another opening."""
    while any(thread.is_alive() for thread in readers):
        with contextlib.suppress(OSError):  # nobody waits for it now
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


def test_a_signal_while_it_starts_is_not_lost(engine: Engine, base: str, place: Path) -> None:
    """PID 1 has no default reaction to signals: between two programs nobody would hear it."""
    with engine.running(base, options=(*HARDENED, *mounted(wsgi(place)))) as container:
        container.wait_for(r"serving /app")
        container.signal("TERM")
        assert container.wait_exit(60) in {0, 143}, container.logs()


def test_orphans_are_reaped(serving: Container) -> None:
    """200 processes whose parents are gone, some with a status of their own: no zombie stays, nobody restarts."""
    before = serving.exec("passenger", "status").stdout
    for _ in range(2):
        assert serving.fetch("/orphans").text == "made"
    look = "cat /proc/[0-9]*/stat 2>/dev/null; true"  # processes end while they are listed
    while " Z " in (table := serving.exec("sh", "-c", look).stdout):
        assert serving.inspect()["State"]["Running"], table
    assert "restarts 0" in before
    assert serving.exec("passenger", "status").stdout.count("restarts 0") == 2


@pytest.mark.parametrize("which", ["core", "nginx", "worker"])
def test_every_process_is_replaced_when_it_is_killed(serving: Container, which: str) -> None:
    _started(serving)
    victims = {
        "core": "sed -n 's/.* core *PID \\([0-9]*\\).*/\\1/p'",
        "nginx": "sed -n 's/.* nginx *PID \\([0-9]*\\).*/\\1/p'",
        "worker": "sed -n 's/.*\\* PID: \\([0-9]*\\).*/\\1/p' | head -n 1",
    }
    serving.exec("sh", "-ec", f"kill -KILL $(passenger status | {victims[which]})")
    serving.wait_for(f"{which} is back" if which != "worker" else "process ended unasked")
    assert serving.fetch("/").text == "hello"
    assert serving.inspect()["State"]["Running"]
    assert serving.stop() == 0


def test_killing_pid_1_is_what_the_engine_reports(serving: Container) -> None:
    serving.signal("KILL")
    assert serving.wait_exit() == 137


def test_works_below_another_init(engine: Engine, base: str, place: Path) -> None:
    """PID n: `sh` stays PID 1 here, as an init or a shared PID namespace would."""
    command = ("sh", "-c", 'passenger container & child=$!; trap "kill -TERM $child" TERM; wait $child; wait $child')
    with engine.running(base, *command, options=(*HARDENED, *mounted(wsgi(place)))) as container:
        assert container.wait_ready().fetch("/orphans").text == "made"
        assert container.stop() == 0, container.logs()
