"""A request head that did not arrive in one piece, or is longer than one look: read step by step.

Rules.
1. Everything but the last byte of the head is taken; that one is only looked at (see `abort`).
2. Nothing larger than the accepted head size is ever kept: the size is known after the first ten bytes.
3. The reader is registered from creation until one of the callbacks has been called or `close` was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from socket import SocketType

from passenger.request.abort import all_but_last, look, take
from passenger.wire.http1 import END
from passenger.wire.scgi import LONGEST_PREFIX, ScgiError, extent


class IncomingHead:
    """Collects one netstring. `arrived` gets it whole, its comma still unread in the socket."""

    __slots__ = ("_arrived", "_buffer", "_failed", "_fd", "_loop", "_max_head", "_sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: SocketType,
        *,
        max_head: int,
        arrived: Callable[[bytes], None],
        failed: Callable[[ScgiError | None], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._max_head = max_head
        self._arrived = arrived
        self._failed = failed
        self._buffer = bytearray()
        loop.add_reader(self._fd, self._on_readable)

    def close(self) -> None:
        """Stop reading. Idempotent; must be called before the socket is closed."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            whole = self._advance()
        except BlockingIOError:
            return
        except ScgiError as error:
            self.close()
            self._failed(error)
        except OSError:
            self.close()
            self._failed(None)
        else:
            if whole is not None:
                self.close()
                self._arrived(whole)

    def _advance(self) -> bytes | None:
        """Read on. Returns the head when it is whole; raises ConnectionError at the end of the stream."""
        _, end = extent(self._buffer, self._max_head)
        if not end:
            data = take(self._sock, LONGEST_PREFIX - len(self._buffer))
        else:
            data = all_but_last(self._sock, end - len(self._buffer), end)
        if not data:
            raise ConnectionResetError
        self._buffer += data
        if not end:
            _, end = extent(self._buffer, self._max_head)
            if 0 < end <= len(self._buffer):
                raise ScgiError("the request head is too short to be one")
        return bytes(self._buffer) if end and len(self._buffer) == end else None


class IncomingUpgrade(IncomingHead):
    """Collects one HTTP head, whose length nobody knows: as long as it has no end, another byte has to follow."""

    __slots__ = ()

    def _advance(self) -> bytes | None:
        data = look(self._sock)
        if not data:
            raise ConnectionResetError
        is_whole = END in self._buffer[-3:] + data
        if len(self._buffer) + len(data) > self._max_head:
            raise ScgiError(f"the request head is longer than {self._max_head} bytes")
        take(self._sock, len(data) - is_whole)
        self._buffer += data
        return bytes(self._buffer) if is_whole else None
