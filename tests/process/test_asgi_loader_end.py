"""How an ASGI process ends: what is in progress is finished, then the lifespan, then the process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from wsproto.events import TextMessage

from tests.support.asgi import AsgiLoader, serving

APP = """
import asyncio, os, signal
SHUTDOWN = {"type": "lifespan.shutdown.complete"}
keep = set()

async def wait_for(name):
    def read():
        with open(name) as file:
            return file.read()
    return await asyncio.get_running_loop().run_in_executor(None, read)

async def lifespan(receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    if os.path.exists("hang"):
        await asyncio.Event().wait()
    if os.path.exists("fail"):
        raise LookupError("cannot close")
    os.write(2, b"lifespan is over\\n")
    await send(SHUTDOWN)

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                os.write(2, b"websocket %d\\n" % message["code"])
                return
            await send({"type": "websocket.send", "text": message["text"]})
    path = scope["path"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path == "/slow":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await wait_for("go")
    if path == "/events":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while not signal.getsignal(signal.SIGTERM).__self__.should_exit:  # as libraries for server-sent events look
            await wait_for("go")
    if path == "/forever":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        try:
            await asyncio.Event().wait()
        finally:
            os.write(2, b"cancelled\\n")
    await send({"type": "http.response.body", "body": b"done"})
    if path == "/background":
        await wait_for("go")
        os.write(2, b"background work done\\n")
"""

HOW = pytest.mark.parametrize("how", ["eof", "term", "int"])


def end(made: AsgiLoader, how: str) -> None:
    if how == "eof":
        made.end_of_stdin()
    else:
        made.process.send_signal(signal.SIGTERM if how == "term" else signal.SIGINT)


@HOW
def test_an_idle_process_ends_at_once(how: str) -> None:
    """Idle kept-alive connections are closed, the socket file is gone, the lifespan was told."""
    with serving(APP) as made:
        conn = made.connect()
        assert conn.get() == b"done"
        end(made, how)
        assert made.status() == 0
        assert conn.is_closed()
        assert not Path(made.path).exists()
        assert made.errors() == "lifespan is over\n"


@HOW
def test_a_response_in_progress_is_finished(how: str) -> None:
    """Whole, and then the connection ends; new connections are refused meanwhile."""
    with serving(APP) as made:
        os.mkfifo(made.folder / "go")
        idle = made.connect()
        conn = made.connect()
        conn.send("/slow")
        conn.head()
        assert conn.chunk() == b"begun"
        end(made, how)
        assert idle.is_closed()  # from here on it is draining
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            made.connect()
        (made.folder / "go").write_text("")
        assert (conn.chunk(), conn.chunk()) == (b"done", b"")
        assert made.status() == 0
        assert conn.is_closed()
        assert made.errors() == "lifespan is over\n"


def test_background_work_is_finished() -> None:
    """After its response has been sent and its connection closed; only then the lifespan ends."""
    with serving(APP) as made:
        os.mkfifo(made.folder / "go")
        conn = made.connect()
        conn.send("/background")
        assert conn.response()[2] == b"done"
        made.end_of_stdin()
        assert conn.is_closed()
        (made.folder / "go").write_text("")
        assert made.status() == 0
        assert made.errors() == "background work done\nlifespan is over\n"


def test_websockets_are_closed_with_service_restart() -> None:
    """Code 1012: the client is to come again. The application is told, too."""
    with serving(APP) as made:
        peer = made.websocket()
        peer.send(TextMessage(data="x"))
        peer.next()
        made.end_of_stdin()
        assert peer.closed() == 1012
        assert made.status() == 0
        assert made.errors() == "websocket 1012\nlifespan is over\n"


@HOW
def test_streams_can_see_that_the_process_is_to_end(how: str) -> None:
    """As sse-starlette does: `should_exit` of the object whose method handles SIGTERM, also when stdin has ended."""
    with serving(APP) as made:
        os.mkfifo(made.folder / "go")
        idle = made.connect()
        conn = made.connect()
        conn.send("/events")
        conn.head()
        assert conn.chunk() == b"begun"
        end(made, how)
        assert idle.is_closed()
        (made.folder / "go").write_text("")
        assert conn.chunk() == b"done"
        assert made.status() == 0


def test_an_endless_request_is_cut_at_the_deadline() -> None:
    """Cancelled, visibly cut for the client, and told; the lifespan still ends in order."""
    with serving(APP, options={"shutdown_timeout": "0.4"}) as made:
        conn = made.connect()
        conn.send("/forever")
        conn.head()
        assert conn.chunk() == b"begun"
        made.end_of_stdin()
        with pytest.raises(ConnectionError):
            conn.chunk()
        assert made.status() == 0
        said = made.errors()
        assert "did not end within the shutdown timeout, and are cut: 1" in said
        assert "cancelled\n" in said
        assert said.endswith("lifespan is over\n")


def test_a_thread_that_hangs_does_not_hold_up_the_end() -> None:
    """Its request is cut, the lifespan ends, and the process does not wait for the thread."""
    with serving(APP, options={"shutdown_timeout": "0.4"}) as made:
        os.mkfifo(made.folder / "go")
        conn = made.connect()
        conn.send("/slow")
        conn.head()
        assert conn.chunk() == b"begun"
        made.end_of_stdin()
        with pytest.raises(ConnectionError):
            conn.chunk()
        assert made.status() == 0
        assert made.errors().endswith("lifespan is over\n")


@pytest.mark.parametrize(("file", "words"), [("hang", "shutdown did not end"), ("fail", "LookupError: cannot close")])
def test_a_lifespan_that_does_not_end_well_is_told(file: str, words: str) -> None:
    """By the exit status, and on stderr."""
    with serving(APP, options={"shutdown_timeout": "1"}) as made:
        (made.folder / file).touch()
        made.end_of_stdin()
        assert made.status() == 1
        assert words in made.errors()


def test_a_killed_process_cuts_its_responses() -> None:
    """A chunked response without its last chunk."""
    with serving(APP) as made:
        conn = made.connect()
        conn.send("/forever")
        conn.head()
        assert conn.chunk() == b"begun"
        made.process.kill()
        with pytest.raises(ConnectionError):
            conn.chunk()
