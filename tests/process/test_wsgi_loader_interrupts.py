"""A request that the core calls too long is interrupted in its thread, and in no other; the process goes on."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.loader import Connection, Loader, loader, request
from tests.support.probe import wait_until

APP = """
import os
from time import sleep as nap
from passenger_loader.interruption import RequestTimeout

begun = open("begun", "wb", 0)

def spin():
    begun.write(b"/spin\\n")
    while True:
        pass

def swallow():
    while True:  # whatever moment it comes in
        try:
            begun.write(b"/swallow\\n")
            while not os.path.exists("go"):
                nap(0.001)
            return b"went on"
        except BaseException:
            os.write(2, b"swallowed\\n")

def tidy():
    try:
        begun.write(b"/tidy\\n")
        while True:
            nap(0.001)
    except RequestTimeout:
        os.write(2, b"tidied up\\n")
        raise

def stream():
    try:
        while True:
            yield b"x"
            nap(0.001)
    finally:
        os.write(2, b"stream closed\\n")

from wsgiref.validate import validator
@validator
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path not in ("/spin", "/tidy", "/swallow"):
        begun.write(path.encode() + b"\\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/sleep":
        nap(1000)
    if path == "/stream":
        return stream()
    if path == "/wait":
        while not os.path.exists("go"):
            nap(0.001)
    if path == "/held":
        open("gate").close()
    work = {"/spin": spin, "/tidy": tidy, "/swallow": swallow}.get(path)
    return [work() if work else path.encode()]
"""


class Begun:
    """Which requests have reached the application: read from a FIFO, so waiting for one costs no time."""

    def __init__(self) -> None:
        self._fd = -1
        self._text = b""

    def make(self, folder: Path) -> None:
        os.mkfifo(folder / "begun")
        self._fd = os.open(folder / "begun", os.O_RDWR)

    def wait_for(self, path: str) -> None:
        while f"{path}\n".encode() not in self._text:
            self._text += os.read(self._fd, 4096)

    def close(self) -> None:
        os.close(self._fd)


@contextmanager
def serving(threads: int) -> Iterator[tuple[Loader, Begun]]:
    begun = Begun()
    try:
        with loader(APP, threads=threads, before=begun.make) as made:
            yield made, begun
    finally:
        begun.close()


def sent(made: Loader, begun: Begun, path: str) -> Connection:
    conn = made.connect()
    conn.send({"PATH_INFO": path})
    begun.wait_for(path)
    return conn


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("path", ["/spin", "/tidy"])
def test_the_request_ends_and_the_process_goes_on(threads: int, path: str) -> None:
    with serving(threads) as (made, begun):
        guilty = sent(made, begun, path)
        made.interrupt(guilty)
        assert guilty.is_closed()
        other = made.connect()
        for _ in range(3):
            other.send({"PATH_INFO": "/fine"})
            assert other.response()[2] == b"/fine"
        assert "ran longer than max_request_time and is interrupted; it was here:\n    " in made.errors()
        assert f"in {path[1:]}: " in made.errors(), "the stack names the function that was running"
        assert ("tidied up\n" in made.errors()) == (path == "/tidy")
        made.end_of_stdin()
        assert made.status() == 0


def test_a_long_sleep_in_the_only_thread() -> None:
    """The signal ends the system call; in one thread of several nothing does, and the core has to end the process."""
    with serving(1) as (made, begun):
        guilty = sent(made, begun, "/sleep")
        # a signal that comes on the last instruction before the call ends none: then, too, the core ends the process
        stat = Path(f"/proc/{made.process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", "a process that sleeps")
        made.interrupt(guilty)
        assert guilty.is_closed()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_is_cut_and_closed_once(threads: int) -> None:
    with serving(threads) as (made, begun):
        guilty = sent(made, begun, "/stream")
        guilty.head()
        made.interrupt(guilty)
        with pytest.raises(ConnectionError):
            guilty.chunked()
        other = made.connect()
        other.send({"PATH_INFO": "/fine"})
        assert other.response()[2] == b"/fine"
        assert made.errors().count("stream closed\n") == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_a_request_without_a_name_is_nobody_s(threads: int) -> None:
    """A connection that has no address is not meant by an empty name."""
    with serving(threads) as (made, begun), socket.socket(socket.AF_UNIX) as nameless:
        nameless.connect(made.path)
        nameless.sendall(request({"PATH_INFO": "/wait"}))
        begun.wait_for("/wait")
        assert made.process.stdin is not None
        made.process.stdin.write(b"interrupt \ninterrupt\n")
        made.process.stdin.flush()
        (made.folder / "go").touch()
        answer = b""
        while b"/wait" not in answer:
            piece = nameless.recv(65536)
            assert piece, "it was cut"
            answer += piece


def test_only_the_request_that_is_named() -> None:
    with serving(3) as (made, begun):
        innocent = sent(made, begun, "/wait")
        guilty = sent(made, begun, "/spin")
        made.interrupt(guilty)
        assert guilty.is_closed()
        (made.folder / "go").touch()
        assert innocent.response()[2] == b"/wait"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_name_that_comes_too_late_means_nothing(threads: int) -> None:
    """The connection is idle, closed or was never there: no other request pays for it (E8)."""
    with serving(threads) as (made, begun):
        for _ in range(50):
            conn = made.connect()
            conn.send({"PATH_INFO": "/fine"})
            assert conn.response()[2] == b"/fine"
            made.interrupt(conn)  # the core uses it no more
            conn.close()
        gone = made.connect()
        name = gone.name()
        gone.close()
        innocent = sent(made, begun, "/wait")
        assert made.process.stdin is not None
        made.process.stdin.write(f"interrupt {name}\ninterrupt\ninterrupt \nsomething else\n".encode())
        made.process.stdin.flush()
        (made.folder / "go").touch()
        assert innocent.response()[2] == b"/wait"
        made.end_of_stdin()
        assert made.status() == 0
        assert "Traceback" not in made.errors()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_application_that_swallows_it_keeps_its_request_only(threads: int) -> None:
    with serving(threads) as (made, begun):
        stubborn = sent(made, begun, "/swallow")
        made.interrupt(stubborn)
        made.wait_for_error("swallowed\n")
        (made.folder / "go").touch()
        assert stubborn.response()[2] == b"went on"
        stubborn.close()
        other = made.connect()
        for _ in range(20):
            other.send({"PATH_INFO": "/fine"})
            assert other.response()[2] == b"/fine"


def test_interrupting_hundreds_of_requests_harms_no_other() -> None:
    """Whatever line the exception meets, ours or the application's."""
    with serving(2) as (made, _):
        innocent = made.connect()
        for _ in range(200):
            guilty = made.connect()
            guilty.send({"PATH_INFO": "/fine"})
            made.interrupt(guilty)  # before, while or after it runs
            innocent.send({"PATH_INFO": "/also"})
            assert innocent.response()[2] == b"/also"
            guilty.close()
        made.end_of_stdin()
        assert made.status() == 0
        assert "Traceback" not in made.errors()


@pytest.mark.parametrize("threads", [1, 2])
def test_sigquit_shows_every_thread_and_ends_nothing(threads: int) -> None:
    with serving(threads) as (made, begun):
        os.mkfifo(made.folder / "gate")
        (made.folder / "gate").chmod(0o666)
        # nothing of it moves: what a running thread does at that moment may be shown in half
        conn = sent(made, begun, "/held")
        made.process.send_signal(signal.SIGQUIT)
        made.wait_for_error("in application\n")
        (made.folder / "gate").write_bytes(b"")
        assert conn.response()[2] == b"/held"
