"""How a WSGI loader ends: end of stdin, SIGTERM, an application that asks for it. Nothing in progress is lost."""

from __future__ import annotations

import os
import select
import signal
import struct
from pathlib import Path

import pytest
from passenger_loader import control

from tests.support.loader import Loader, loader, request

APP = """
import os, sys, threading
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exit":
        sys.exit(5)
    if path == "/interrupt":
        raise KeyboardInterrupt
    if path == "/where":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [threading.current_thread().name.encode()]
    if path == "/slow":
        open("begun", "w").close()
        os.write(2, b"begun\\n")
        with open("go") as go:
            go.read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""

THREADS = pytest.mark.parametrize("threads", [1, 3])


def end(made: Loader, how: str) -> None:
    if how == "eof":
        made.end_of_stdin()
    else:
        made.process.send_signal(signal.SIGTERM)


@THREADS
@pytest.mark.parametrize("how", ["eof", "term"])
def test_an_idle_process_ends_at_once(threads: int, how: str) -> None:
    """Also with an idle kept-alive connection, which is closed; the socket file is gone."""
    with loader(APP, threads=threads) as made:
        conn = made.connect()
        conn.send()
        assert conn.response()[2] == b"done"
        end(made, how)
        assert made.status() == 0
        assert conn.is_closed()
        assert not Path(made.path).exists()
        assert made.errors() == ""


@THREADS
@pytest.mark.parametrize("how", ["eof", "term"])
def test_a_request_in_progress_is_finished(threads: int, how: str) -> None:
    """The response is whole, and then the process ends."""
    with loader(APP, threads=threads) as made:
        folder = Path(made.path).parent
        os.mkfifo(folder / "go")
        os.mkfifo(folder / "begun")
        conn = made.connect()
        conn.send({"PATH_INFO": "/slow"})
        (folder / "begun").read_text()
        end(made, how)
        if how == "term":
            made.end_of_stdin()
        (folder / "go").write_text("x")
        assert conn.response()[2] == b"done"
        assert made.status() == 0
        assert conn.is_closed()


@THREADS
@pytest.mark.parametrize(("path", "status"), [("/exit", 5), ("/interrupt", 1)])
def test_an_application_that_wants_to_end_is_answered_first(threads: int, path: str, status: int) -> None:
    """500 for its client, then the whole process goes."""
    with loader(APP, threads=threads) as made:
        conn = made.connect()
        conn.send({"PATH_INFO": path})
        assert conn.response()[0] == "500 Internal Server Error"
        conn.close()
        assert made.status() == status


def test_one_thread_means_the_main_thread() -> None:
    """Libraries that insist on it work; more threads have names."""
    for threads, names in ((1, {b"MainThread"}), (2, {b"request-1", b"request-2"})):
        with loader(APP, threads=threads) as made:
            conn = made.connect()
            conn.send({"PATH_INFO": "/where"})
            assert conn.response()[2] in names


def test_threads_serve_at_the_same_time() -> None:
    """As many requests as threads, each held by the others: a barrier that only parallel requests can pass."""
    source = """
import threading
BARRIER = threading.Barrier(4, timeout=10)
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    BARRIER.wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"together"]
"""
    with loader(source, threads=4) as made:
        connections = [made.connect() for _ in range(4)]
        for conn in connections:
            conn.send()
        assert [conn.response()[2] for conn in connections] == [b"together"] * 4


def test_bytes_on_stdin_mean_nothing() -> None:
    """Only its end does."""
    with loader(APP) as made:
        assert made.process.stdin is not None
        made.process.stdin.write(b"x\n")
        made.process.stdin.flush()
        conn = made.connect()
        conn.send()
        assert conn.response()[2] == b"done"


def test_the_signal_of_stdin_may_come_while_stdin_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not take away what was seen: the read that follows would wait for ever. Nor may a name be lost."""
    ends: list[str] = []
    looked = control.Control(lambda: ends.append("end"))
    reader, writer = os.pipe()
    saved = os.dup(0)
    os.dup2(reader, 0)
    reads = []

    def interrupted() -> bytes:
        assert looked.look() == []  # what the signal handler does
        assert select.select([0], [], [], 0)[0], "the handler took what was about to be read"
        reads.append(os.read(0, 4096))
        return reads[-1]

    monkeypatch.setattr(control, "read_stdin", interrupted)
    try:
        os.write(writer, b"x\ninterrupt 0001a\ninter")
        assert (looked.look(), ends) == ([b"0001a"], [])
        os.write(writer, b"rupt 0001b\n")
        assert looked.look() == [b"0001b"]
        os.close(writer)
        assert (looked.look(), looked.look(), ends) == ([], [], ["end"])
        assert reads[-1] == b""
    finally:
        os.dup2(saved, 0)
        for fd in (saved, reader):
            os.close(fd)


def test_the_socket_is_private_and_random() -> None:
    """0600 from the first moment, at most 32 bytes of name, two processes never share one."""
    with loader(APP) as first, loader(APP) as second:
        names = {Path(made.path).name for made in (first, second)}
        assert len(names) == 2
        assert all(len(name) <= 32 for name in names)
        assert Path(first.path).stat().st_mode & 0o777 == 0o600


def test_clients_that_leave_do_not_disturb() -> None:
    """Five hundred connections that are closed in the middle of a request; then one that is answered."""
    with loader(APP, threads=2) as made:
        block = request({"PATH_INFO": "/"})
        for number in range(500):
            conn = made.connect()
            conn.sock.sendall(block[: 1 + number % len(block)] if number % 2 else struct.pack(">I", 100))
            conn.close()
        conn = made.connect()
        conn.send()
        assert conn.response()[2] == b"done"


def test_the_end_of_stdin_is_seen_whenever_it_comes() -> None:
    """As the core does it: the parked connection is closed, then stdin, while the process is on its way to wait again."""
    for _ in range(20):
        with loader(APP) as made:
            conn = made.connect()
            conn.send()
            assert conn.response()[2] == b"done"
            conn.close()
            made.end_of_stdin()
            assert made.status() == 0
