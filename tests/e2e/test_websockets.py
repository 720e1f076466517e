"""WebSockets through the whole product: nginx, core, applications in Python and Node; their ends (fault matrix E9)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.installation import Installation, hand_over
from tests.support.nodeapps import installed, needed
from tests.support.running import DEADLINE, RunningInstance, free_port, running
from tests.support.websocket_client import WebSocket

CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[instances.main.watchdog]
drain_timeout = "20s"
[defaults]
python = "{python}"
env.ROUND = "1"

[apps.chat]
app_root = "starlette_ws"

[apps.node]
app_root = "node_ws"
base_uri = "/node"
"""
PATHS = {"chat": "/chat", "node": "/node/echo"}


@pytest.fixture(scope="module")
def place(installation: Installation, shared_place: Path, request: pytest.FixtureRequest) -> tuple[str, Path, int]:
    """The program, its configuration file, the port."""
    needed("node", "nodejs")
    assert request.config.cache is not None
    shutil.copytree(installed("node_ws", request.config.cache), shared_place / "node_ws")
    hand_over(shared_place / "node_ws")
    projects.copy("starlette_ws", shared_place)
    config, port = shared_place / "passenger.toml", free_port()
    config.write_text(CONFIG.format(port=port, python=installation.python))
    return installation.passenger, config, port


@contextmanager
def house(place: tuple[str, Path, int]) -> Iterator[RunningInstance]:
    passenger, config, _ = place
    with running(passenger, config) as instance:
        instance.wait_started(timeout=90)
        yield instance


@contextmanager
def sockets(port: int) -> Iterator[dict[str, WebSocket]]:
    """One WebSocket of each application, over which something has been said."""
    streams = {name: socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) for name in PATHS}
    with closing(streams["chat"]), closing(streams["node"]):
        opened = {name: WebSocket(streams[name], path) for name, path in PATHS.items()}
        assert opened["chat"].receive() == "1 here"
        for one in opened.values():
            one.send("hello")
            assert one.receive() == "hello"
        yield opened


def test_messages_travel_and_are_sessions(place: tuple[str, Path, int]) -> None:
    """Counted while they are open; afterwards the places are free."""
    with house(place) as instance:
        with sockets(place[2]) as opened:
            status = instance.status()
            assert (status["requests"]["upgraded"], status["requests"]["tunnels"]) == (2, 2)
            sessions = {g["name"]: [p["sessions"] for p in g["processes"]] for g in status["pool"]["groups"]}
            assert sessions == {"chat": [1], "node": [1]}
            opened["node"].send("x" * 60_000)
            assert opened["node"].receive() == "x" * 60_000
            for one in opened.values():
                one.close()
                assert one.closed() == 1000
        assert instance.status()["requests"]["tunnels"] == 0
        assert instance.stop() == 0


def test_stop_closes_with_going_away(place: tuple[str, Path, int]) -> None:
    """1001, and the drain does not wait for people who chat."""
    with house(place) as instance, sockets(place[2]) as opened:
        instance.process.send_signal(signal.SIGTERM)
        assert [one.closed() for one in opened.values()] == [1001, 1001]
        assert instance.wait_exit(15) == 0


def test_replaced_processes_close_with_service_restart(place: tuple[str, Path, int]) -> None:
    """1012 once a new process is ready, to which the client can connect at once."""
    _, config, port = place
    with house(place) as instance, sockets(port) as opened:
        before = config.read_text()
        try:
            config.write_text(before.replace('ROUND = "1"', 'ROUND = "2"'))
            done = instance.run("reload")
            assert done.returncode == 0, done.stderr
            assert [one.closed() for one in opened.values()] == [1012, 1012]
            with sockets(port):
                assert instance.status()["requests"]["tunnels"] == 2
        finally:
            config.write_text(before)


def test_killed_process_ends_without_a_close_frame(place: tuple[str, Path, int]) -> None:
    """1006 for the client, and nothing of the tunnel is left."""
    with house(place) as instance, sockets(place[2]) as opened:
        for group in instance.status()["pool"]["groups"]:
            os.kill(group["processes"][0]["pid"], signal.SIGKILL)
        for one in opened.values():
            with pytest.raises(ConnectionError):
                one.receive()
        assert instance.status()["requests"]["tunnels"] == 0


def test_rest_ends_with_going_away(place: tuple[str, Path, int]) -> None:
    """`websocket_idle_timeout`: 1001 for who says nothing; a reload applies it to those that are open."""
    _, config, port = place
    with house(place) as instance, sockets(port) as opened:
        before = config.read_text()
        try:
            config.write_text(before.replace("[defaults]\n", '[defaults]\nwebsocket_idle_timeout = "1s"\n'))
            done = instance.run("reload")
            assert done.returncode == 0, done.stderr
            assert [one.closed() for one in opened.values()] == [1001, 1001]
            processes = [group["processes"] for group in instance.status()["pool"]["groups"]]
            assert [len(some) for some in processes] == [1, 1]
        finally:
            config.write_text(before)
