"""A new connection to the socket of an application process, checked to be that process (fault matrix F14).

A Unix socket connects at once or not at all: EAGAIN means that its queue is full and is tried again by the caller.
"""

from __future__ import annotations

import errno
import os
import socket
from socket import SocketType
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from passenger.pool.model import Process, Socket

_CREDENTIALS: Final = Struct("iII")


class ConnectError(Exception):
    """The process cannot be reached; the text says why. `passing` = not its fault, or over in a moment."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


def connect(process: Process, place: Socket) -> socket.socket:
    """A connected, non-blocking socket whose other end is `process`. Raises ConnectError."""
    if place.protocol != "session" or not place.address.startswith("unix:"):
        raise ConnectError(f"{place.protocol} over {place.address} is not a way to reach it")
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise ConnectError(_text(error), passing=True) from error
    try:
        sock.connect(place.address[5:])
        pid = peer(sock)[0]
    except OSError as error:
        sock.close()
        raise ConnectError(_text(error), passing=error.errno == errno.EAGAIN) from error
    if pid != process.pid:
        sock.close()
        raise ConnectError(f"its socket belongs to process {pid}")
    return sock


def peer(sock: SocketType) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process that connected, or of the one that called listen() (fact N11)."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(data)
    return pid, uid, gid


def _text(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
