"""A request that the core calls too long: its task is cancelled, or the code that keeps the event loop is interrupted."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.asgi import Answers, AsgiLoader, starting

APP = """
import os
from asyncio import sleep as rest
from time import sleep as nap

async def spin():
    note(b"spin")
    while True:
        pass

async def doze():
    note(b"doze")
    nap(1000)

async def wait():
    note(b"wait")
    await rest(1000)

async def tidy():
    try:
        await wait()
    finally:
        os.write(2, b"tidied up\\n")

async def swallow():
    is_told = False
    while not os.path.exists("go"):
        try:
            if not is_told:
                is_told = True
                note(b"swallow")
            await rest(0.001)
        except BaseException:
            os.write(2, b"swallowed\\n")

async def until_go():
    note(b"until_go")
    while not os.path.exists("go"):
        await rest(0.001)

def note(name):
    os.write(1, b"begun " + name + b"\\n")

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    name = scope["path"][1:]
    if name == "stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await wait()
    if name in globals():
        await globals()[name]()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"fine"})
"""


def begun(made: AsgiLoader, target: str) -> Answers:
    """A request that the application is working on."""
    connection = made.connect()
    connection.send(target)
    assert made.process.stdout is not None
    assert made.process.stdout.readline() == f"begun {target[1:]}\n".encode()
    return connection


def is_given_up(connection: Answers) -> bool:
    """uvicorn answers 500 and closes; the core listens no more."""
    status, headers, _ = connection.response()
    return status == 500 and headers.get("connection") == "close" and connection.is_closed()


@pytest.mark.parametrize("target", ["/spin", "/doze", "/wait"])
def test_the_request_ends_and_the_process_goes_on(target: str) -> None:
    with starting(APP) as made:
        made.ready()
        guilty = begun(made, target)
        made.interrupt(guilty)
        assert is_given_up(guilty)
        assert made.connect().get("/fine") == b"fine"
        assert f"process {made.process.pid}: a request ran longer than max_request_time " in made.errors()
        assert f" in {target[1:]}" in made.errors(), "the stack names the coroutine"
        made.end_of_stdin()
        assert made.status() == 0


def test_it_can_tidy_up() -> None:
    with starting(APP) as made:
        made.ready()
        guilty = made.connect()
        guilty.send("/tidy")
        assert made.process.stdout is not None
        assert made.process.stdout.readline() == b"begun wait\n"
        made.interrupt(guilty)
        assert is_given_up(guilty)
        assert made.errors().count("tidied up\n") == 1


def test_a_stream_is_cut() -> None:
    with starting(APP) as made:
        made.ready()
        guilty = made.connect()
        guilty.send("/stream")
        guilty.head()
        assert guilty.chunk() == b"begun"
        made.interrupt(guilty)
        with pytest.raises(ConnectionError):
            guilty.chunk()
        assert made.connect().get("/fine") == b"fine"


@pytest.mark.parametrize("target", ["/spin", "/wait"])
def test_others_on_the_same_loop_go_on(target: str) -> None:
    with starting(APP) as made:
        made.ready()
        innocent = begun(made, "/until_go")
        guilty = begun(made, target)
        made.interrupt(guilty)
        assert is_given_up(guilty)
        (made.folder / "go").touch()
        assert innocent.response()[2] == b"fine"


def test_who_waits_behind_a_blocked_loop_is_cancelled_when_it_runs_again() -> None:
    with starting(APP) as made:
        made.ready()
        waiting = begun(made, "/wait")
        blocking = begun(made, "/spin")
        made.interrupt(waiting)
        made.interrupt(blocking)
        assert is_given_up(blocking)
        assert is_given_up(waiting)


def test_a_name_that_comes_too_late_means_nothing() -> None:
    """E8: the connection is idle or closed; nobody else pays for it."""
    with starting(APP) as made:
        made.ready()
        innocent = begun(made, "/until_go")
        for _ in range(50):
            late = made.connect()
            assert late.get("/fine") == b"fine"
            made.interrupt(late)
            late.close()
        (made.folder / "go").touch()
        assert innocent.response()[2] == b"fine"


def test_an_application_that_swallows_it_goes_on() -> None:
    with starting(APP) as made:
        made.ready()
        stubborn = begun(made, "/swallow")
        made.interrupt(stubborn)
        made.wait_for_error("swallowed\n")
        assert made.connect().get("/fine") == b"fine"
        (made.folder / "go").touch()
        assert stubborn.response()[2] == b"fine"


def test_sigquit_shows_every_thread_and_ends_nothing() -> None:
    with starting(APP) as made:
        made.ready()
        blocking = begun(made, "/spin")
        os.kill(made.process.pid, signal.SIGQUIT)
        made.interrupt(blocking)
        assert is_given_up(blocking)
        assert "(most recent call first):\n" in made.errors()
