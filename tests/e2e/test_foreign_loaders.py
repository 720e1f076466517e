"""Loaders of somebody else through the whole product: nginx, the pool, processes that nobody here has written for it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.nodeapps import needed
from tests.support.running import RunningInstance, free_port, running

FOREIGN = Path(__file__).resolve().parents[1] / "support" / "foreign"
CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[instances.main.watchdog]
drain_timeout = "20s"
[defaults]
spawn_method = "direct"
min_instances = 1
max_instances = 1
"""
READY = (
    "\n!> Ready\n!> socket: main;{address};{protocol};{limit}\n!> socket: http;tcp://127.0.0.1:{{PORT}};http;1\n!> \n"
)
UNIX = "unix:{SOCKET}"
APPS = {
    "python": ("loader.py", "passenger_wsgi.py", "python", (UNIX, "session", 1), "serve"),
    "tcp": ("loader.py", "passenger_wsgi.py", "python", ("tcp://127.0.0.1:{PORT}", "http_session", 0), "serve http"),
    "ruby": ("loader.rb", "config.ru", "ruby", (UNIX, "session", 1), "serve"),
    "node": ("loader.js", "app.js", "nodejs", (UNIX, "http_session", 0), "serve"),
}


@pytest.fixture(scope="module")
def house(installation: Installation, shared_place: Path) -> Iterator[tuple[RunningInstance, int]]:
    """An instance with one application for each loader: instead of the interpreter, a script that starts the loader."""
    programs = {
        "loader.py": installation.python,
        "loader.rb": needed("ruby", "ruby"),
        "loader.js": needed("node", "nodejs"),
    }
    config, port = shared_place / "passenger.toml", free_port()
    text = CONFIG.format(port=port)
    for name, (loader, startup_file, key, (address, protocol, limit), serve) in APPS.items():
        ready = READY.format(address=address, protocol=protocol, limit=limit)
        play = [["say", "!> I have control 1.0\n"], ["request"], ["say", ready], [serve]]
        (shared_place / name).mkdir()
        (shared_place / name / startup_file).touch()
        hand_over(shared_place / name)
        shutil.copy(FOREIGN / loader, shared_place)
        program = shared_place / f"{name}-program"
        program.write_text(f"#!/bin/sh\nexec {programs[loader]} {shared_place}/{loader}\n")
        program.chmod(0o755)
        text += f'[apps.{name}]\napp_root = "{name}"\nserver_names = ["{name}.test"]\n{key} = "../{program.name}"\n'
        text += f"env.PLAY = {json.dumps(json.dumps(play))}\n"
    config.write_text(text)
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        yield instance, port
        assert instance.stop() == 0


def get(port: int, name: str) -> list[str]:
    """Who answered, on its how manieth connection, to which request on that."""
    answer = fetch(port, host=f"{name}.test")
    assert answer.status == 200, answer.text
    return answer.text.split()


@pytest.mark.parametrize("name", APPS)
def test_requests_of_every_kind(house: tuple[RunningInstance, int], name: str) -> None:
    """With a body and without, one after the other and many at a time, to one process."""
    _, port = house
    language = "python" if name == "tcp" else name
    body = bytes(range(256)) * 1000
    with ThreadPoolExecutor(8) as threads:
        for _ in range(2):
            assert all(threads.map(lambda _: get(port, name)[0] == language, range(40)))
            posted = fetch(port, method="POST", host=f"{name}.test", body=body)
            assert posted.body.startswith(language.encode() + b" ")
            assert posted.body.endswith(b" POST " + body)


def test_one_thread_that_stays_on_its_connection(house: tuple[RunningInstance, int]) -> None:
    """It is used again; when another is needed, it was closed before: a connection that waits would wait for ever."""
    _, port = house
    first = get(port, "ruby")
    for number in range(1, 20):
        _, connection, request, *_ = get(port, "ruby")
        assert (connection, int(request)) == (first[1], int(first[2]) + number)
    assert fetch(port, method="POST", host="ruby.test", body=b"x").text.endswith("POST x")
    assert int(get(port, "ruby")[1]) == int(first[1]) + 1


def test_clients_that_leave_do_not_occupy_it(house: tuple[RunningInstance, int]) -> None:
    """Before their request is whole, and before they are answered."""
    instance, port = house
    for request in (
        b"GET / HTTP/1.1\r\nHost: ruby.test\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: ruby.test\r\nContent-Length: 900000\r\n\r\nhalf",
    ):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request)
        assert get(port, "ruby")[0] == "ruby"
    processes = [process for group in instance.status()["pool"]["groups"] for process in group["processes"]]
    assert len(processes) == len(APPS)
