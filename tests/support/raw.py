"""Bytes as they are to an HTTP server on loopback, and everything it says until it closes."""

from __future__ import annotations

import socket
from dataclasses import dataclass

DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One response out of a stream of them."""

    status: int
    head: bytes
    body: bytes


def exchange(port: int, data: bytes, *, end: bool = False, timeout: float = DEADLINE) -> bytes:
    """Send `data` (and, with `end`, half-close), then read until the server closes. Raises TimeoutError if it never does."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        pieces = []
        try:
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(65536):
                pieces.append(piece)
        except ConnectionError:
            pass  # it has said what it wanted to say
        return b"".join(pieces)


def answers(data: bytes) -> list[RawAnswer]:
    """Every response in a stream; strict about framing. Interim ones count. Raises AssertionError for anything else."""
    found = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        assert separator, f"no complete head: {data[:200]!r}"
        assert head.startswith(b"HTTP/1.1 "), f"no status line: {data[:200]!r}"
        status = int(head[9:12])
        body, data = (b"", rest) if status < 200 or status in {204, 304} else _body(head, rest)
        found.append(RawAnswer(status, head, body))
    return found


def statuses(port: int, data: bytes) -> list[int]:
    """The statuses of everything that is answered to `data`; [] = closed without a word."""
    return [one.status for one in answers(exchange(port, data))]


def _body(head: bytes, rest: bytes) -> tuple[bytes, bytes]:
    fields = {n.strip().lower(): v.strip() for n, _, v in (line.partition(b":") for line in head.split(b"\r\n")[1:])}
    if fields.get(b"transfer-encoding") == b"chunked":
        return _chunks(rest)
    if b"content-length" not in fields:
        return rest, b""
    size = int(fields[b"content-length"])
    assert len(rest) >= size, "the body is cut"
    return rest[:size], rest[size:]


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        assert separator, "the body is cut"
        size = int(line, 16)
        assert rest[size : size + 2] == b"\r\n", "the body is cut"
        body += rest[:size]
        rest = rest[size + 2 :]
        if not size:
            return body, rest
