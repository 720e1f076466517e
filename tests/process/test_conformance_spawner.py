"""Our spawner against loaders of somebody else, in Python, Ruby and Node.js: they play, byte by byte, what 1.0 allows.

The third column says what comes of it: the sockets that take requests, or the category of the failure and its words.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passenger.config.apptypes import by_startup_file
from passenger.config.model import App
from passenger.spawn.running import StartedProcess
from passenger.spawn.spawner import AppSocket, SpawnError
from tests.support.httploader import SocketHTTP
from tests.support.nodeapps import needed
from tests.support.spawning import Place, ask, exited, place, run

FOREIGN = Path(__file__).resolve().parents[1] / "support" / "foreign"
KINDS = {
    "python": ("loader.py", "wsgi_loader.py", "passenger_wsgi.py"),
    "ruby": ("loader.rb", "rack_loader.rb", "config.ru"),
    "node": ("loader.js", "node_loader.js", "app.js"),
}
ALL = tuple(KINDS)
HELLO = ["say", "!> I have control 1.0\n"]
TALK = [HELLO, ["request"]]
MAIN = "!> socket: main;unix:{SOCKET};@;1\n"
DEBUG = "!> socket: http;tcp://127.0.0.1:{PORT};http;1\n"
ERROR = "!> Error\n!> \nThe gem <b>foo</b> is missing\n"

STARTS: dict[str, tuple[tuple[str, ...], list[list[str]]]] = {
    "nothing unusual": (ALL, [*TALK, ["say", f"!> Ready\n{MAIN}!> \n"], ["serve"]]),
    "byte by byte": (
        ALL,
        [["spell", "!> I have control 1.0\n"], ["request"], ["spell", f"\n!> Ready\n{MAIN}!> \n"], ["serve"]],
    ),
    "output before, between and after": (
        ALL,
        [
            ["say", "early\n!>early\n"],
            *TALK,
            ["say", f"I am !> Ready\n\nlate\n!> Ready\n{MAIN}!> \n!> Error\n"],
            ["serve"],
        ],
    ),
    "an unended line before Ready": (ALL, [*TALK, ["say", "unended"], ["say", f"\n!> Ready\n{MAIN}!> \n"], ["serve"]]),
    "a socket for information": (ALL, [*TALK, ["say", f"!> Ready\n{MAIN}{DEBUG}!> \n"], ["serve"]]),
    "the socket for information first": (ALL, [*TALK, ["say", f"!> Ready\n{DEBUG}{MAIN}!> \n"], ["serve"]]),
    "its own pid": (ALL, [*TALK, ["say", f"!> Ready\n!> pid: {{PID}}\n{MAIN}!> \n"], ["serve"]]),
    "it executes itself again": (
        ("python", "ruby"),
        [*TALK, ["say", "once more\n"], ["again"], *TALK, ["say", f"!> Ready\n{MAIN}!> \n"], ["serve"]],
    ),
    "HTTP over TCP": (
        ("python",),
        [*TALK, ["say", "!> Ready\n!> socket: main;tcp://127.0.0.1:{PORT};http_session;0\n!> \n"], ["serve http"]],
    ),
}
FAILS: dict[str, tuple[list[list[str]], str, str]] = {
    "Error instead of the handshake": ([["say", ERROR], ["exit", "1"]], "load-error", "The gem <b>foo</b> is missing"),
    "Error after the request": (
        [*TALK, ["say", "\n" + ERROR], ["exit", "1"]],
        "load-error",
        "The gem <b>foo</b> is missing",
    ),
    "Error in HTML": (
        [*TALK, ["say", ERROR.replace("!> \n", "!> html: true\n!> \n")], ["exit", "0"]],
        "load-error",
        "The gem <b>foo</b> is missing",
    ),
    "Error in two pieces": (
        [*TALK, ["say", "!> Error\n!> \nThe ge"], ["say", "m is missing"], ["exit", "1"]],
        "load-error",
        "The gem is missing",
    ),
    "Error without a text": ([*TALK, ["say", "!> Error\n!> \n"], ["exit", "1"]], "load-error", "without a text"),
    "Ready in an unended line": (
        [*TALK, ["say", "unended!> Ready\n"], ["exit", "1"]],
        "ended-before-ready",
        "unended!> Ready",
    ),
    "it ends without a word": ([["exit", "0"]], "ended-before-handshake", ""),
    "another version": ([["say", "!> I have control 2.0\n"], ["exit", "1"]], "handshake-version", "1.0"),
    "Ready without a request": (
        [["say", f"!> Ready\n{DEBUG}!> \n"], ["exit", "1"]],
        "unexpected-control-line",
        "Ready",
    ),
    "Error after Ready": ([*TALK, ["say", f"!> Ready\n{ERROR}"], ["exit", "1"]], "unexpected-control-line", "Error"),
    "a key that is not legal": (
        [*TALK, ["say", "!> Ready\n!> url: /\n!> \n"], ["exit", "1"]],
        "unknown-ready-key",
        "url",
    ),
    "three fields": (
        [*TALK, ["say", "!> Ready\n!> socket: main;unix:/x;@\n!> \n"], ["exit", "1"]],
        "bad-socket-line",
        "",
    ),
    "the session protocol over TCP": (
        [*TALK, ["say", "!> Ready\n!> socket: main;tcp://127.0.0.1:{PORT};session;1\n!> \n"], ["serve"]],
        "socket-session-over-tcp",
        "Unix sockets only",
    ),
    "a key that is not legal, behind its socket": (
        [*TALK, ["say", f"!> Ready\n{MAIN}!> url: /\n!> \n"], ["serve"]],
        "unknown-ready-key",
        "url",
    ),
    "it ends behind its socket": ([*TALK, ["say", f"!> Ready\n{MAIN}"], ["exit", "3"]], "ended-inside-ready", ""),
    "Error after it has made its socket": (
        [*TALK, ["say", "made {SOCKET}\n"], ["say", ERROR], ["exit", "1"]],
        "load-error",
        "The gem <b>foo</b> is missing",
    ),
    "no socket for requests": ([*TALK, ["say", f"!> Ready\n{DEBUG}!> \n"], ["exit", "1"]], "no-request-socket", ""),
}


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    needed("ruby", "ruby")
    needed("node", "nodejs")
    with place() as made:
        for source, script, _ in KINDS.values():
            shutil.copy(FOREIGN / source, made.root / "h" / script)
        yield made


def app_of(here: Place, language: str, steps: list[list[str]], **keys: Any) -> App:
    """An application whose loader plays these steps."""
    protocol = "http_session" if language == "node" else "session"
    play = [[name, *(value.replace("@", protocol) for value in values)] for name, *values in steps]
    return here.app("blog", {KINDS[language][2]: ""}, env={"PLAY": json.dumps(play)}, **keys)


def said(process: StartedProcess) -> bytes:
    """What its application answers to one request."""
    if process.sockets[0].protocol == "session":
        return ask(process)
    http = SocketHTTP(process.sockets[0].address)
    try:
        return http.fetch()
    finally:
        http.close()


@pytest.mark.parametrize(("case", "language"), [(case, language) for case in STARTS for language in STARTS[case][0]])
def test_it_starts(here: Place, case: str, language: str) -> None:
    """It is spoken to at the one socket for requests; it ends at the end of stdin, whatever its status; nothing is left."""

    async def life() -> tuple[tuple[AppSocket, ...], bytes]:
        process = await here.spawner(app_of(here, language, STARTS[case][1])).spawn()
        answer = said(process)
        sockets = process.sockets
        process.request_stop()
        await exited(process)
        process.dispose()
        return sockets, answer

    (socket,), answer = run(life())
    assert socket.name == "main"
    assert f"\r\n{language} ".encode() in b"\r\n" + answer
    assert here.socket_names() == []


def test_a_loader_on_a_port_is_not_asked_for_out_of_band_work(here: Place) -> None:
    """The request holds the password, and nobody can tell who will be at that port."""
    ready = "!> Ready\n!> oobw: http\n!> socket: main;tcp://127.0.0.1:{PORT};http_session;0\n!> \n"

    async def life() -> bool:
        process = await here.spawner(app_of(here, "python", [*TALK, ["say", ready], ["serve http"]])).spawn()
        process.request_stop()
        await exited(process)
        process.dispose()
        return process.takes_errands

    assert not run(life())


def test_what_it_prints_is_the_applications(here: Place) -> None:
    """Every line that is no control line, in order, whole; after Ready there are no control lines any more."""

    async def life() -> None:
        process = await here.spawner(app_of(here, "python", STARTS["output before, between and after"][1])).spawn()
        said(process)
        process.request_stop()
        await exited(process)
        process.dispose()

    run(life())
    assert re.findall(r"stdout: (.*)", here.log_text()) == ["early", "!>early", "I am !> Ready", "", "late", "!> Error"]


@pytest.mark.parametrize("language", ALL)
def test_what_it_is_told(here: Place, language: str) -> None:
    """The keys that loaders of 1.0 read, each on a line of its own; twice the same for one that starts over."""

    async def life() -> str:
        app = app_of(here, language, STARTS["nothing unusual"][1])
        process = await here.spawner(app).spawn()
        password = process.connect_password
        process.request_stop()
        await exited(process)
        process.dispose()
        return password

    password = run(life())
    said = [tuple(pair) for pair in re.findall(r"told ([^:\n]+): (.*)", here.log_text())]
    told, expected = dict(said), what_5_0_tells(here, language)
    assert re.fullmatch(r"[0-9a-f]+-[A-Za-z0-9]{10}", told["gupid"])
    assert told["connect_password"] == password
    assert {name: told.get(name) for name in expected} == expected
    assert [name for name, _ in said if name in expected] == list(expected), "in this order"
    assert len(told) == len(said), "each once"


def what_5_0_tells(here: Place, language: str) -> dict[str, str]:
    """Every key of Passenger 5.0 that has something to say here, in its order."""
    _, script, startup_file = KINDS[language]
    kind = by_startup_file(startup_file)
    assert kind is not None
    interpreter = {"python": here.python, "ruby": "ruby", "nodejs": "node"}[kind.interpreter]
    return {
        "passenger_root": str(here.root),
        "passenger_version": "0",
        "ruby_libdir": str(here.root / "h"),
        "UNIX_PATH_MAX": "108",
        "instance_dir": str(here.root),
        "socket_dir": str(here.sockets),
        "app_root": str(here.root / "blog"),
        "app_group_name": "blog",
        "app_type": kind.name,
        "start_command": rf"{interpreter}\t{here.root}/h/{script}",
        "startup_file": startup_file,
        "process_title": kind.process_title,
        "log_level": "4",
        "start_timeout": "60000",
        "environment": "production",
        "base_uri": "/",
        "default_user": "nobody",
        kind.interpreter: interpreter,
        "debugger": "false",
        "analytics": "false",
        "spawn_method": "direct",
    }


def test_ruby_loaders_find_the_library(here: Place) -> None:
    """`ruby_libdir` leads to a `phusion_passenger` that knows the events."""
    steps = [*TALK, ["library"], ["say", f"!> Ready\n{MAIN}!> \n"], ["serve"]]

    async def life() -> None:
        process = await here.spawner(app_of(here, "ruby", steps)).spawn()
        process.request_stop()
        await exited(process)
        process.dispose()

    run(life())
    assert "starting_worker_process was heard: false" in here.log_text()


@pytest.mark.parametrize("language", ALL)
@pytest.mark.parametrize("case", FAILS)
def test_it_fails(here: Place, case: str, language: str) -> None:
    """With the category and, where it explains itself, its own words; nothing is left of it."""
    steps, category, words = FAILS[case]
    error = here.fails(app_of(here, language, steps))
    assert error.category == category
    assert words in f"{error.message}\n{error.output}"


def test_a_hung_one_leaves_no_socket(here: Place) -> None:
    """It listens, and never says so."""
    error = here.fails(app_of(here, "python", [*TALK, ["say", "made {SOCKET}\n"], ["serve"]], start_timeout=3.0))
    assert error.category == "timeout"
    assert "made " in error.output


def test_a_failed_start_leaves_the_sockets_of_others_alone(here: Place) -> None:
    """Of the same user in the same folder: what somebody has open stays, what nobody has open goes."""

    async def life() -> None:
        good = await here.spawner(app_of(here, "python", STARTS["nothing unusual"][1])).spawn()
        bad = [*TALK, ["say", "made {SOCKET}\n"], ["say", ERROR], ["exit", "1"]]
        with pytest.raises(SpawnError):
            await here.spawner(app_of(here, "python", bad)).spawn()
        assert [f"unix:{here.sockets}/{name}" for name in here.socket_names()] == [good.sockets[0].address]
        assert ask(good)
        good.request_stop()
        await exited(good)
        good.dispose()

    run(life())
