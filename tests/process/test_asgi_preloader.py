"""ASGI processes forked from a preloader: loaded once, a lifespan and an event loop each, one end for each."""

from __future__ import annotations

import ast
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from wsproto.events import TextMessage

from tests.support.asgi import Answers, AsgiLoader, connected, starting

APP = """
import asyncio, os, random
loaded_in = os.getpid()
after = []

def passenger_after_fork():
    after.append(os.getpid())

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["started_in"] = os.getpid()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        os.write(2, b"lifespan is over\\n")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        return
    body = repr([loaded_in, os.getpid(), after, scope["state"]["started_in"], random.random()]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


class Worker:
    """A process asked of the preloader, up to what it answers to its own handshake."""

    def __init__(self, preloader: str, **options: str) -> None:
        self.talk = connected(preloader)
        self.talk.sendall(b"spawn\nsurprise: 1\n\n")
        said = self._until(b"!> I have control 1.0\n")
        word, pid, _ = said.split(b"\n", 2)
        assert word == b"OK"
        self.pid = int(pid)
        lines = "".join(f"{key}: {value}\n" for key, value in options.items())
        self.talk.sendall(f"You have control 1.0\n{lines}\n".encode())
        self.answer = self._until(b"!> \n").decode()

    def connect(self) -> Answers:
        return Answers(self.path)

    @property
    def path(self) -> str:
        return self.answer.partition("!> socket: main;unix:")[2].partition(";")[0]

    def until_the_end(self) -> bytes:
        """Wait until it has closed its stdout, as its end does."""
        return b"".join(iter(lambda: self.talk.recv(4096), b""))

    def _until(self, mark: bytes) -> bytes:
        said = b""
        while not said.endswith(mark):
            piece = self.talk.recv(1)
            assert piece, said
            said += piece
        return said


def announced(made: AsgiLoader) -> str:
    """The socket on which processes are asked for."""
    assert made.process.stdout is not None
    said = b"".join(iter(made.process.stdout.readline, b"!> \n")).decode()
    assert "!> Ready\n!> socket: unix:" in said, said + made.process.stdout.read().decode()
    return said.rpartition("!> socket: unix:")[2].strip()


@contextmanager
def two_workers(source: str, options: dict[str, str] | None = None) -> Iterator[tuple[AsgiLoader, list[Worker]]]:
    with starting(source, script="asgi_preloader.py", options=options) as made:
        path = announced(made)
        workers = [Worker(path, gupid=str(number)) for number in range(2)]
        try:
            yield made, workers
        finally:
            for worker in workers:
                worker.talk.close()


def ask(worker: Worker) -> list[object]:
    conn = worker.connect()
    try:
        found: list[object] = ast.literal_eval(conn.get().decode())
        return found
    finally:
        conn.close()


def test_processes_share_what_was_loaded() -> None:
    """One load; in each process its own hook, lifespan, socket, loop and random numbers."""
    with two_workers(APP, {"max_concurrent_requests": "3"}) as (made, workers):
        answers = [ask(worker) for worker in workers]
        for worker, (loaded_in, pid, after, started_in, _) in zip(workers, answers, strict=True):
            assert loaded_in == made.process.pid
            assert pid == started_in == worker.pid
            assert after == [worker.pid]
            assert worker.answer.endswith(";http_session;3\n!> \n")
        assert answers[0][4] != answers[1][4]
        assert workers[0].path != workers[1].path
        assert made.errors() == ""


def test_each_process_knows_its_own_password_for_out_of_band_work() -> None:
    with starting(APP, script="asgi_preloader.py", options={"connect_password": "of nobody"}) as made:
        path = announced(made)
        workers = [Worker(path, oobw="http", connect_password=f"pw{number}") for number in range(2)]
        for number, worker in enumerate(workers):
            assert worker.answer.endswith("!> oobw: http\n!> \n")
            conn = worker.connect()
            for word in ("of nobody", f"pw{1 - number}"):
                assert conn.get("/", {"X-Passenger-OOB-Work": word}).startswith(b"[")
            assert conn.get("/", {"X-Passenger-OOB-Work": f"pw{number}"}) == b"oobw done"
            conn.close()
            worker.talk.close()


def test_a_websocket_in_a_forked_process() -> None:
    """The library was loaded before the fork."""
    with two_workers(APP) as (made, workers):
        made.path = workers[1].path
        peer = made.websocket()
        peer.send(TextMessage(data="hello"))
        event = peer.next()
        assert isinstance(event, TextMessage)
        assert event.data == "hello"


def test_one_ends_and_the_other_goes_on() -> None:
    """The end of its stdin ends one process, with its lifespan; the end of the preloader ends none."""
    with two_workers(APP) as (made, (first, second)):
        first.talk.shutdown(socket.SHUT_WR)
        assert first.until_the_end() == b""
        assert made.errors() == "lifespan is over\n"
        assert not os.path.exists(first.path)  # noqa: PTH110
        made.end_of_stdin()
        assert made.status() == 0
        assert ask(second)[1] == second.pid
        second.talk.shutdown(socket.SHUT_WR)
        second.until_the_end()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import asyncio\nasyncio.get_running_loop()\n", 'set `spawn_method = "direct"`'),
        ("application = 5", "cannot be called"),
        ("import nonexistent_module", "No module named"),
    ],
)
def test_what_cannot_be_loaded_fails_the_preloader(source: str, words: str) -> None:
    """With the same words as the loader, and advice where loading before a fork is the trouble."""
    with starting(source, script="asgi_preloader.py") as made:
        assert words in made.error()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("\ndef passenger_after_fork():\n    raise LookupError('no connection')\n", "LookupError: no connection"),
        ("\n", "lifespan startup failed:\nasleep"),
    ],
)
def test_a_process_that_cannot_start_says_why_and_the_preloader_lives(more: str, words: str) -> None:
    """The failure is that process's own."""
    startup = 'await send({"type": "lifespan.startup.complete"})'
    source = APP.replace(startup, 'await send({"type": "lifespan.startup.failed", "message": "asleep"})') + more
    with starting(source, script="asgi_preloader.py") as made:
        path = announced(made)
        for _ in range(2):
            worker = Worker(path)
            assert "!> Error\n!> \n" in worker.answer
            assert words in worker.until_the_end().decode()
            worker.talk.close()
