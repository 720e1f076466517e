"""One HTTP/1.1 response to one request: `start_response`, `write`, and the framing of the body.

Rules.
1. Everything is checked and encoded before the first byte is sent: until then an error can still become a 500.
2. A response of one piece leaves in one write, with its Content-Length. Longer ones of unknown length are chunked.
3. Bytes beyond the declared length are dropped, missing ones are an error: the connection can't be used again.
4. What was checked once (a status, a header name) is remembered and not checked again.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost every start some milliseconds
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from .body import Input

    Headers = list[tuple[str, str]]
    Write = Callable[[bytes], None]

JOIN_LIMIT = 65536
"""Bodies up to this size are joined with the head into one write; larger ones are not copied."""
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
PLAIN, LENGTH, HOP = 1, 2, 3
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
STATUS = re.compile(r"[2-9][0-9][0-9]( [^\x00-\x08\x0a-\x1f\x7f]*)?")
DIGITS = re.compile(r"[0-9]{1,18}")


class StatusLine:
    """A status that the application has used, checked and encoded once."""

    __slots__ = ("code", "line", "without_body")

    def __init__(self, status: str) -> None:
        if not STATUS.fullmatch(status):
            raise ValueError("start_response: bad status %r" % (status,))
        self.code = int(status[:3])
        self.line = ("HTTP/1.1 %s\r\n" % (status if len(status) > 3 else status + " ")).encode("latin-1")
        self.without_body = self.code in (204, 304)


class Vocabulary:
    """Statuses and header names seen so far: what was checked once needs no second look. Bounded."""

    def __init__(self) -> None:
        self.statuses: dict[str, StatusLine] = {}
        self.kinds: dict[str, int] = {}
        """Header name -> PLAIN, LENGTH or HOP."""

    def status(self, status: str) -> StatusLine:
        line = StatusLine(status)
        if len(self.statuses) < 256:
            self.statuses[status] = line
        return line

    def kind(self, name: str) -> int:
        """What kind of header that is. Raises ValueError for what is no header name."""
        if not TOKEN.fullmatch(name):
            raise ValueError("start_response: bad header name %r" % (name,))
        lower = name.lower()
        kind = LENGTH if lower == "content-length" else HOP if lower in HOP_BY_HOP else PLAIN
        if len(self.kinds) < 4096:
            self.kinds[name] = kind
        return kind


class Response:
    """One answer to one request."""

    # As attributes of the class, because most responses leave most of them as they are: that spares each the stores.
    _line: StatusLine | None = None
    _length: int | None = None
    _left: int | None = None
    _chunked = False
    _without_body = False
    _text = b""
    head_sent = False
    is_closed = False
    """What the application returned was closed, or is being closed."""
    keep_alive = True

    def __init__(self, conn: socket.socket, vocabulary: Vocabulary, request_body: Input, is_head: bool) -> None:
        self._conn = conn
        self._vocabulary = vocabulary
        self.request_body = request_body
        self.is_head = is_head

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> Write:
        """`start_response`."""
        if exc_info:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle through the traceback
        elif self._line is not None:
            raise AssertionError("start_response was called a second time without exc_info")
        vocabulary = self._vocabulary
        line = vocabulary.statuses.get(status) or vocabulary.status(status)
        kinds = vocabulary.kinds
        text = ""
        length = None
        count = len(headers)
        for name, value in headers:
            kind = kinds.get(name) or vocabulary.kind(name)
            if not isinstance(value, str):
                raise TypeError("start_response: the value of header %s is no str: %r" % (name, value))
            if kind != PLAIN:
                if kind == HOP:
                    count -= 1
                    continue
                length = declared_length(value, length)
            text += f"{name}: {value}\r\n"
        if text.count("\n") != count or text.count("\r") != count or "\0" in text:
            raise ValueError("start_response: a header holds a line end or NUL")
        self._text = text.encode("latin-1")
        self._length = length
        self._line = line
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body at once, after the head if that has not been sent."""
        if not self.head_sent:
            self._send_first(data)
        elif self._without_body:
            return
        elif not self._chunked:
            self._conn.sendall(self._counted(data))
        elif data:
            self._conn.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def send_whole(self, body: bytes) -> None:
        """The fast path: the only piece of the body, head and all in one write."""
        size = len(body)
        line, length = self._line, self._length
        if (
            line is None or line.without_body or self.is_head or size > JOIN_LIMIT
            or not self.keep_alive or self.request_body.left != 0
            or (length != size and length is not None)
        ):  # fmt: skip
            self._send_whole_carefully(body, size)
            return
        end = b"\r\n" if length is not None else b"Content-Length: %d\r\n\r\n" % size
        data = b"".join((line.line, self._text, end, body))
        self.head_sent = True
        self._conn.sendall(data)

    def _send_whole_carefully(self, body: bytes, size: int) -> None:
        if self._length is not None and self._length != size and not self.is_head:
            self.write(body)
            self.finish()
            return
        head = self._head(size)
        view = memoryview(body)  # a TypeError for what is no bytes, before anything is sent
        self.head_sent = True
        if self._without_body:
            self._conn.sendall(head)
        elif size <= JOIN_LIMIT:
            self._conn.sendall(head + body)
        else:
            self._conn.sendall(head)
            self._conn.sendall(view)
        self._left = 0

    def finish(self) -> None:
        """The application has given everything."""
        if not self.head_sent:
            if self._length:
                self.write(b"")
            else:
                self.send_whole(b"")
        if self._chunked:
            self._conn.sendall(b"0\r\n\r\n")
        elif self._left and not self._without_body:
            raise AssertionError("the application sent %d bytes less than its Content-Length says" % self._left)

    def send_file(self, fd: int, offset: int, size: int) -> None:
        """Send a file, or as much of it as the Content-Length says."""
        count = size if self._length is None else self._length
        head = self._head(count)
        self.head_sent = True
        self._conn.sendall(head)
        if self._without_body:
            return
        end = offset + min(count, size)
        self._left = count
        while offset < end:
            sent = os.sendfile(self._conn.fileno(), fd, offset, min(end - offset, 1 << 30))
            if sent == 0:
                break  # the file has become shorter
            offset += sent
            self._left -= sent
        self.finish()

    def is_complete(self) -> bool:
        """Whether further pieces of the body would go nowhere."""
        return self.head_sent and self._without_body

    def _counted(self, data: bytes) -> bytes:
        """The part of `data` that the declared length has room for."""
        left = self._left or 0
        if len(data) > left:
            _complain("the application sent more bytes than its Content-Length says; the rest is dropped")
            data = data[:left]
        self._left = left - len(data)
        return data

    def _send_first(self, data: bytes) -> None:
        out = self._head(None)
        if self._without_body or not data:
            memoryview(data)
        elif self._chunked:
            out = b"%b%x\r\n%b\r\n" % (out, len(data), data)
        else:
            out += self._counted(data)
        self.head_sent = True
        self._conn.sendall(out)

    def _head(self, length: int | None) -> bytes:
        """The head, with `length` as the length of the whole body if it is known and the application named none."""
        line = self._line
        if line is None:
            raise AssertionError("the application gave a body before it called start_response")
        text = self._text
        self._without_body = self.is_head or line.without_body
        if self._length is not None:
            self._left = self._length
        elif line.without_body or (self.is_head and not length):
            pass
        elif length is not None:
            self._left = length
            text += b"Content-Length: %d\r\n" % length
        else:
            self._chunked = True
            text += b"Transfer-Encoding: chunked\r\n"
        if not self.keep_alive or self.request_body.left != 0:
            self.keep_alive = False
            text += b"Connection: close\r\n"
        return line.line + text + b"\r\n"


def declared_length(value: str, before: int | None) -> int:
    """The Content-Length that the application set. Raises ValueError when it is no number, or two numbers."""
    value = value.strip()
    if not (value.isdecimal() and value.isascii() and len(value) <= 18):
        raise ValueError("start_response: bad Content-Length")
    length = int(value)
    if before is not None and before != length:
        raise ValueError("start_response: differing Content-Lengths")
    return length


def _complain(message: str) -> None:
    os.write(2, b"[loader] " + message.encode("utf-8", "replace") + b"\n")
