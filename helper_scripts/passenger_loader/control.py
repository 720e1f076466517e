"""What the core says on stdin after the start: lines, then the end.

    interrupt NAME      the request on the connection whose other end has this (abstract) address has run too long
    the end             take nothing new, finish what is in progress

Rules.
1. A line that is not known means nothing.
2. Signals are not counted, so whoever looks goes on until there is nothing more. A signal that comes while somebody
   looks only leaves word: read by the handler, what was seen there would be gone, and reading it there would wait for
   ever.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

OFFER = "stdin"
"""What the spawner's `interrupts` says when it would interrupt requests in this way, and what is answered then."""
INTERRUPT = b"interrupt "


class Control:
    """Reads stdin on demand. `ended` is called once, at its end."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._is_over = False
        self._held = b""
        self._looking = False
        self._stirred = False
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)

    def look(self) -> list[bytes]:
        """Read what has come; the names of connections whose requests are to be interrupted."""
        names: list[bytes] = []
        self._stirred = True
        while self._stirred and not self._looking:
            self._looking = True
            while self._stirred:
                self._stirred = False
                while not self._is_over and self._poll.poll(0):
                    names += self._heard(read_stdin())
            self._looking = False
        return names

    def have_signalled(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        """From now on whatever happens on stdin interrupts the main thread, as SIGTERM does."""
        signal.signal(signal.SIGIO, handler)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)

    @staticmethod
    def be_deaf() -> None:
        """From now on nothing on stdin matters, and no signal of it may meet an interpreter that is ending."""
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    def _heard(self, data: bytes) -> list[bytes]:
        if not data:
            self._is_over = True
            self._ended()
            return []
        *lines, self._held = (self._held + data).split(b"\n")
        return [line[len(INTERRUPT) :] for line in lines if line.startswith(INTERRUPT) and line != INTERRUPT]


def read_stdin() -> bytes:
    """What came on stdin, b"" at its end."""
    try:
        return os.read(0, 4096)
    except OSError:
        return b""


def name_of(conn: Any) -> bytes:
    """The address of the other end of a connection, as `interrupt` calls it; b"" when it has none."""
    try:
        address = conn.getpeername()
    except (OSError, ValueError):
        return b""  # it has been closed
    return address[1:] if isinstance(address, bytes) and address[:1] == b"\0" else b""


def announced(sockets: str, offered: str | None, more: str = "") -> str:
    """The Ready block. `offered`: what the spawner said about interrupting requests; `more`: further lines."""
    return "\n!> Ready\n%s%s%s!> \n" % (sockets, "!> interrupts: %s\n" % OFFER if offered == OFFER else "", more)


def shut(sock: socket.socket, how: int) -> None:
    try:
        sock.shutdown(how)
    except OSError:
        return  # it was closed meanwhile
