"""Does a process that speaks HTTP still live? The application is not troubled: asked by a connection without a request.

A server that lives accepts the connection, sees its end and closes it; none of the usual ones says a word about it. One
whose event loop is blocked does not even accept.

Rules.
1. Any end of the connection is an answer, and so are bytes. No connection, or no end, is silence; `is_lost` = it has
   to be asked again.
2. `close` may come at any time, and has to come.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from passenger.request.connecting import ConnectError, connect

if TYPE_CHECKING:
    from passenger.pool.model import Process, Socket


class Ping:
    """One question."""

    def __init__(self, loop: asyncio.AbstractEventLoop, process: Process, place: Socket) -> None:
        self.is_answered = False
        self.is_lost = False
        self._loop = loop
        self._sock: socket.socket | None = None
        try:
            self._sock = connect(process, place)
            self._sock.shutdown(socket.SHUT_WR)
        except ConnectError:
            self.is_lost = True
            return
        except OSError:  # it has closed its end at once
            self._answered()
            return
        loop.add_reader(self._sock.fileno(), self._answered)

    def close(self) -> None:
        """Idempotent."""
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _answered(self) -> None:
        self.is_answered = True
        self.close()
