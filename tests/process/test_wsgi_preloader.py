"""The WSGI preloader asked by somebody else's spawner: plain words over a socket, nothing beside them."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator

import pytest

from tests.process.test_wsgi_loader_pythons import interpreters
from tests.support.preloader import Preloader, preloader

APP = """
import os
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


@pytest.fixture(name="ready")
def _ready() -> Iterator[Preloader]:
    with preloader(APP) as made:
        yield made


@pytest.mark.parametrize(("version", "python"), sorted(interpreters().items()))
def test_a_process_is_forked_under_each_python(version: str, python: str) -> None:
    """OK, its pid, and then it speaks as a loader does; it serves, and ends with its connection."""
    with preloader(APP, python=python) as made:
        worker = made.fork()
        assert worker.ask() == b"%d" % worker.pid
        watch = os.pidfd_open(worker.pid)
        worker.close()
        assert made.waits_for(watch)
        assert made.fork().ask()


def test_it_announces_one_private_socket(ready: Preloader) -> None:
    assert ready.said[-2:] == [f"!> socket: unix:{ready.path}\n", "!> \n"]
    assert stat.S_IMODE(os.stat(ready.path).st_mode) == 0o600  # noqa: PTH116 - a socket, not a Path of ours
    assert len(os.path.basename(ready.path)) <= 32  # noqa: PTH119 - same


def test_without_a_descriptor_its_stderr_is_the_processes(ready: Preloader) -> None:
    worker = ready.fork()
    assert os.readlink(f"/proc/{worker.pid}/fd/2") == os.readlink(f"/proc/{ready.process.pid}/fd/2")  # noqa: PTH115


@pytest.mark.parametrize(
    "words", [b"pid\n\n", b"spawn", b"spawn\napp_root: /x\n", b"\n\n", b"SPAWN\n\n", b"\xff\n\n", b"x" * 70_000]
)
def test_other_words_are_complained_about_and_cost_nothing(ready: Preloader, words: bytes) -> None:
    """The connection is closed, the next one is answered."""
    with ready.connect() as conn:
        conn.sendall(words)
        conn.shutdown(socket.SHUT_WR)
        assert ready.rest_of(conn) == b""
    assert ready.fork().ask()
    assert "[preloader] a connection was closed: " in ready.errors()


def test_a_connection_without_words_is_no_matter(ready: Preloader) -> None:
    """Somebody only looked who listens."""
    ready.connect().close()
    assert ready.fork().ask()
    assert ready.errors() == ""


@pytest.mark.parametrize("how", ["stdin", "SIGTERM"])
def test_it_ends_and_takes_its_socket_along_but_not_its_processes(ready: Preloader, how: str) -> None:
    worker = ready.fork()
    if how == "stdin":
        ready.end_of_stdin()
    else:
        ready.process.send_signal(signal.SIGTERM)
    assert ready.process.wait(10) == 0
    assert not os.path.lexists(ready.path)
    assert worker.ask() == b"%d" % worker.pid


def test_a_spawner_that_gave_up_leaves_no_process(ready: Preloader) -> None:
    """The connection ended before the process could say its handshake."""
    with ready.connect() as conn:
        conn.sendall(b"spawn\n\n")
        assert conn.recv(3) == b"OK\n"
        pid = int(conn.recv(64).split(b"\n")[0])
        watch = os.pidfd_open(pid)
    assert ready.waits_for(watch)
