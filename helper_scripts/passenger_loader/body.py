"""What a request brings and a response may be made of: `wsgi.input` and `wsgi.file_wrapper`.

Rules.
1. The body is read from the connection only as the application asks for it.
2. Not a byte is read beyond the request's own length: the next request may stand behind it.
3. A body that ends early is an error for whoever reads it, never a shorter body.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost every start some milliseconds
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from typing import BinaryIO

READ_SIZE = 65536


class BodyCutShortError(ConnectionError):
    """The client went away before the whole request body had come."""


class Input:
    """`wsgi.input`: the request body, read from the connection as the application asks for it.

    `left` counts the bytes that are still to come from the connection; None = until its end.
    """

    __slots__ = ("_buffer", "_conn", "left")

    def __init__(self, conn: socket.socket, buffered: bytes, left: int | None) -> None:
        self._conn = conn
        self._buffer = buffered
        self.left = left

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return self._read_all()
        data = self._buffer
        if len(data) >= size or self.left == 0:
            self._buffer = data[size:]
            return data[:size]
        pieces = [data]
        wanted = size - len(data)
        self._buffer = b""
        while wanted > 0:
            piece = self._receive(wanted)
            if not piece:
                break
            pieces.append(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        limit = -1 if size is None else size
        end = self._buffer.find(b"\n") + 1
        while not end and (limit < 0 or len(self._buffer) < limit):
            piece = self._receive(READ_SIZE)
            if not piece:
                break
            found = piece.find(b"\n") + 1
            if found:
                end = len(self._buffer) + found
            self._buffer += piece
        if not end:
            end = len(self._buffer)
        if 0 <= limit < end:
            end = limit
        line, self._buffer = self._buffer[:end], self._buffer[end:]
        return line

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _read_all(self) -> bytes:
        pieces = [self._buffer]
        self._buffer = b""
        while self.left != 0:
            piece = self._receive(READ_SIZE)
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)

    def _receive(self, size: int) -> bytes:
        """Up to `size` bytes from the connection, b"" at the end of the body."""
        left = self.left
        if left == 0:
            return b""
        if left is None:
            piece = self._conn.recv(min(size, READ_SIZE))
            if not piece:
                self.left = 0
            return piece
        piece = self._conn.recv(min(size, left, 1024 * 1024))
        if not piece:
            raise BodyCutShortError("the client went away: %d bytes of the request body did not come" % left)
        self.left = left - len(piece)
        return piece


class FileWrapper:
    """`wsgi.file_wrapper`: a file to be sent, by sendfile where that is possible."""

    def __init__(self, filelike: BinaryIO, blksize: int = 65536) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.blksize), b"")

    def extent(self) -> tuple[int, int, int] | None:
        """Descriptor, offset and size of what is left of a regular file, else None."""
        try:
            fd = self.filelike.fileno()
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or "b" not in getattr(self.filelike, "mode", ""):
                return None
            offset = self.filelike.tell()
        except (AttributeError, OSError, ValueError, TypeError):
            return None
        return fd, offset, max(0, info.st_size - offset)
