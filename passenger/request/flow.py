"""Back-pressure: what a socket does not take at once waits here, and the side that produces it pauses.

Rules.
1. Nothing is created for a message that the socket takes whole; a Backlog exists only while bytes wait.
2. Whoever pushes stops producing until `drained` was called: a backlog never holds more than one piece per producer.
3. A write error is reported once, through `failed`; afterwards the backlog does nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from socket import SocketType


class Backlog:
    """Bytes that wait for one socket to become writable."""

    __slots__ = ("_drained", "_failed", "_fd", "_loop", "_pieces", "_sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: SocketType,
        *,
        drained: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._pieces: deque[memoryview] = deque()
        self._drained = drained
        self._failed = failed

    def push(self, data: bytes | memoryview) -> None:
        """Queue bytes behind those that wait already."""
        if not self._pieces:
            self._loop.add_writer(self._fd, self._on_writable)
        self._pieces.append(memoryview(data))

    def close(self) -> None:
        """Forget everything; must be called before the socket is closed. Idempotent."""
        if self._pieces:
            self._pieces.clear()
            self._loop.remove_writer(self._fd)

    def _on_writable(self) -> None:
        try:
            while self._pieces:
                piece = self._pieces[0]
                sent = self._sock.send(piece, socket.MSG_DONTWAIT)
                if sent < len(piece):
                    self._pieces[0] = piece[sent:]
                    return
                self._pieces.popleft()
        except BlockingIOError:
            return
        except OSError:
            self.close()
            self._failed()
            return
        self._loop.remove_writer(self._fd)
        self._drained()
