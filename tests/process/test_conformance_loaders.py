"""Our loaders against a spawner and a core of another make: the conformance matrix of spawn protocol 1.0.

x = as the protocol says; w = the same, once the one connection that its thread serves is closed; - = not spoken.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.conformance import Loader, loader
from tests.support.loader import Connection

MATRIX = """
case                                    wsgi  asgi  rack  node  generic
the talk byte by byte                     x     x     x     x     x
an unended line before Ready              x     x     x     x     x
an error before Ready                     x     x     x     x     x
a spawner that is gone                    x     x     x     x     x
a socket path of 107 bytes                x     x     x     x     x
a wrong password                          x     -     x     -     -
PING                                      x     -     x     -     -
PING beside an idle connection            w     -     x     -     -
OOBW                                      -     -     x     -     -
a request without a body                  x     x     x     x     x
a request with a body                     x     x     x     x     x
HEAD                                      x     x     x     x     x
an answer without a length                x     x     x     x     x
204 and 304                               x     x     x     x     x
a second request on a connection          x     x     x     x     x
a connection without a request            x     x     x     x     x
half-close with an open answer            x     x     x     x     x
SIGTERM with an open answer               x     x     x     x     x
half-close with an idle connection        x     x     x     x     x
"""
BROKEN = {
    "wsgi": "raise RuntimeError('cannot: load')",
    "asgi": "raise RuntimeError('cannot: load')",
    "rack": "raise 'cannot: load'",
    "node": "throw new Error('cannot: load')",
    "generic": "raise SystemExit('cannot: load')",
}


def cells() -> Iterator[tuple[str, str, str]]:
    """(case, loader, mark) for each cell of the matrix that is spoken."""
    title, *rows = MATRIX.strip().splitlines()
    names = title.split()[1:]
    for row in rows:
        case, *marks = re.split(r"\s{2,}", row.strip())
        assert len(marks) == len(names), row
        yield from ((case, name, mark) for name, mark in zip(names, marks, strict=True) if mark != "-")


# Cases that the loader survives: one process of each kind serves them all.


def talk(it: Loader) -> None:
    """Mode 0600, four fields; nothing on stdout that the application did not say, no control line afterwards."""
    name, address, protocol, concurrency = it.announced
    assert (name, protocol, concurrency) == ("main", it.kind.protocol, it.kind.concurrency)
    assert address == f"unix:{it.sockets}/{it.path.rpartition('/')[2]}"
    assert stat.S_IMODE(os.lstat(it.path).st_mode) == 0o600
    assert it.process.poll() is None


def plain(it: Loader) -> None:
    assert ask(it, it.connect(), "/")[::2] == ("200", b"hello")


def with_body(it: Loader) -> None:
    body = bytes(range(256)) * 300
    assert ask(it, it.connect(), "/echo", method="POST", body=body)[2] == body


def head_only(it: Loader) -> None:
    """The length is said, the body is not; what comes next is the next response."""
    conn = it.connect()
    it.send(conn, "/", method="HEAD")
    status, headers, _ = conn.response(body=False)
    assert (status[:3], headers.get("content-length", "5")) == ("200", "5")
    if headers.get("connection") == "close":
        assert conn.is_closed()
    else:
        assert ask(it, conn, "/")[2] == b"hello"


def without_length(it: Loader) -> None:
    """Chunked, or ended by the end of the connection; never a guess."""
    _, headers, body = ask(it, it.connect(), "/chunks")
    assert body == b"onetwo"
    assert "content-length" not in headers


def without_content(it: Loader) -> None:
    conn = it.connect()
    for status in ("204", "304"):
        it.send(conn, f"/status/{status}")
        said, headers, _ = conn.response(body=False)
        assert said[:3] == status
        assert "transfer-encoding" not in headers
    assert ask(it, conn, "/")[2] == b"hello"


def second_request(it: Loader) -> None:
    conn = it.connect()
    for _ in range(3):
        assert ask(it, conn, "/")[2] == b"hello"
        assert ask(it, conn, "/chunks")[2] == b"onetwo"


def no_request(it: Loader) -> None:
    """Somebody looks whether the socket is served; also one who begins a request and leaves."""
    it.connect().close()
    conn = it.connect()
    conn.sock.sendall(b"\0\0" if it.kind.protocol == "session" else b"GE")
    conn.close()
    plain(it)


def wrong_password(it: Loader) -> None:
    for password in ("", "secre", "secretx", "SECRET"):
        conn = it.connect()
        conn.send(password=password)
        assert conn.is_closed()
    plain(it)


def ping(it: Loader) -> None:
    for method in ("PING", "ping"):
        conn = it.control(method)
        assert conn.take(4) == b"pong"
        assert conn.is_closed()


def ping_beside_idle(it: Loader, *, waits: bool) -> None:
    idle = it.connect()
    assert ask(it, idle, "/")[2] == b"hello"
    conn = it.control("PING")
    if waits:  # a core that wants an answer closes or uses the idle connection first
        assert ask(it, idle, "/")[2] == b"hello"
        idle.close()
    assert conn.take(4) == b"pong"
    if not waits:
        assert ask(it, idle, "/")[2] == b"hello"


def oobw(it: Loader) -> None:
    conn = it.control("OOBW")
    assert conn.take(9) == b"oobw done"
    assert conn.is_closed()


# Cases that end the loader, or want one of their own.


def unended_line(name: str) -> None:
    """The loader ends it, so that its control line begins a line."""
    with loader(name) as it:
        assert it.until(b"\n") == b"!> I have control 1.0\n"
        it.give()
        assert re.fullmatch(rb"loading\s*\n", it.until(b"!> Ready\n").removesuffix(b"!> Ready\n")), it.errors()


def error_block(name: str) -> None:
    """`Error`, the end of the block, text up to the end of the stream; the loader ends by itself."""
    with loader(name, source=BROKEN[name]) as it:
        it.until(b"!> I have control 1.0\n")
        it.give()
        said = it.rest().decode()
        assert re.search(r"(\A|\n)!> Error\n!> \n", said), said
        assert "!> Ready" not in said
        assert "cannot: load" in said + it.errors()
        assert it.status() != 0
        assert list(it.sockets.iterdir()) == []


def spawner_gone(name: str) -> None:
    """Between handshake and request: it does not stay for ever."""
    with loader(name) as it:
        it.until(b"!> I have control 1.0\n")
        it.half_close()
        assert b"!> Ready" not in it.rest()
        it.status()


def longest_path(name: str) -> None:
    with loader(name) as it:
        it.ready()
        length = len(it.path.rpartition("/")[2])
    with loader(name, socket_folder=107 - 1 - length) as it:
        it.ready()
        assert len(it.path) == 107
        plain(it)


def ends_with_open_answer(name: str, end: Callable[[Loader], None]) -> None:
    """The answer is finished, the connection closed, the socket removed, stdout ended."""
    with loader(name) as it:
        it.ready()
        conn = it.connect()
        it.send(conn, "/slow", method="POST", length=10, body=b"12345")
        _, headers = conn.head()
        first = conn.take(5) if "transfer-encoding" not in headers else conn.take(len(b"5\r\nbegin\r\n"))
        assert b"begin" in first
        end(it)
        conn.sock.sendall(b"67890")
        assert b"end" in until_closed(conn)
        assert b"!> " not in it.rest()
        assert it.status() in {0, 128 + 15}
        assert list(it.sockets.iterdir()) == []


def ends_idle(name: str) -> None:
    with loader(name) as it:
        it.ready()
        conn = it.connect()
        ask(it, conn, "/")
        it.half_close()
        assert conn.is_closed()
        assert it.status() == 0


SURVIVED: dict[str, Callable[[Loader], None]] = {
    "the talk byte by byte": talk,
    "a wrong password": wrong_password,
    "PING": ping,
    "OOBW": oobw,
    "a request without a body": plain,
    "a request with a body": with_body,
    "HEAD": head_only,
    "an answer without a length": without_length,
    "204 and 304": without_content,
    "a second request on a connection": second_request,
    "a connection without a request": no_request,
}
ENDING: dict[str, Callable[[str], None]] = {
    "an unended line before Ready": unended_line,
    "an error before Ready": error_block,
    "a spawner that is gone": spawner_gone,
    "a socket path of 107 bytes": longest_path,
    "half-close with an open answer": lambda name: ends_with_open_answer(name, Loader.half_close),
    "SIGTERM with an open answer": lambda name: ends_with_open_answer(name, Loader.terminate),
    "half-close with an idle connection": ends_idle,
}


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], Loader]]:
    """A loader of each kind that is ready, started when first asked for."""
    found: dict[str, Loader] = {}
    with ExitStack() as stack:

        def get(name: str) -> Loader:
            if name not in found:
                found[name] = stack.enter_context(loader(name))
                found[name].ready()
            return found[name]

        yield get


@pytest.mark.parametrize(("case", "name", "mark"), [*cells()])
def test_conformance(started: Callable[[str], Loader], case: str, name: str, mark: str) -> None:
    """One cell of the matrix."""
    if case in ENDING:
        ENDING[case](name)
        return
    it = started(name)
    if case == "PING beside an idle connection":
        ping_beside_idle(it, waits=mark == "w")
    else:
        SURVIVED[case](it)
    for connection in it.connections:  # a process with one thread serves one connection at a time
        connection.close()
    it.connections.clear()


def ask(
    it: Loader, conn: Connection, path: str, *, method: str = "GET", body: bytes = b""
) -> tuple[str, dict[str, str], bytes]:
    """One request and its response, whole."""
    it.send(conn, path, method=method, length=len(body), body=body)
    status, headers, data = conn.response()
    if "content-length" not in headers and headers.get("transfer-encoding") != "chunked":
        data = until_closed(conn)
    return status[:3], headers, data


def until_closed(conn: Connection) -> bytes:
    """Everything up to the end of the connection."""
    data = b""
    while piece := conn.sock.recv(65536):
        data += piece
    return data
