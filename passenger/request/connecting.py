"""A new connection to the socket of an application process, checked to be that process (fault matrix F14).

Rules.
1. It connects at once or not at all: a Unix socket by its nature (EAGAIN = its queue is full), TCP over loopback
   because both ends are this kernel (not done at once = its queue is full). Full queues are tried again by the caller.
2. The other end of a Unix socket is the process itself. For `http_session` it may also be a process of the session
   that the process leads: a command that starts the server (`sh -c`, `meteor run`) is not the one that listens.
3. TCP goes to loopback addresses only. The kernel does not tell who is at the other end of it: that the socket
   belonged to the process was found out once, when it became ready (`spawn.sockets`). Who takes the port over while
   the process lives is not noticed; a Unix socket has no such gap.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from socket import SocketType
from struct import Struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from passenger.pool.model import Process, Socket
    from passenger.spawn.spawner import AppSocket, RunningProcess

_CREDENTIALS: Final = Struct("iII")
_KIND: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class ConnectError(Exception):
    """The process cannot be reached; the text says why. `passing` = not its fault, or over in a moment."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


def connect(process: Process | RunningProcess, place: Socket | AppSocket) -> socket.socket:
    """A connected, non-blocking socket whose other end is `process`. Raises ConnectError."""
    scheme, _, address = place.address.partition(":")
    host, _, port = address.removeprefix("//").rpartition(":")
    host = host.strip("[]")
    is_local = host == "::1" or host.startswith("127.")
    if scheme != "unix" and not (scheme == "tcp" and is_local and place.protocol == "http_session"):
        raise ConnectError(f"{place.protocol} over {place.address} is not a way to reach it")
    try:
        sock = socket.socket(_family(scheme, host), _KIND)
    except OSError as error:
        raise ConnectError(_text(error), passing=True) from error
    try:
        if scheme == "unix":
            if process.takes_interrupts:
                give_name(sock)
            sock.connect(address)
            _check_peer(sock, process, place)
        else:
            _connect_tcp(sock, host, int(port))
    except OSError as error:
        sock.close()
        raise ConnectError(_text(error), passing=error.errno == errno.EAGAIN) from error
    except ConnectError:
        sock.close()
        raise
    return sock


def give_name(sock: SocketType) -> None:
    """Let the kernel choose an address for our end, by which the process can be told of this connection."""
    try:
        sock.bind("")
    except OSError:
        return  # none is left, or the host forbids it: then a process ends where a request could have


def _family(scheme: str, host: str) -> socket.AddressFamily:
    if scheme == "unix":
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _check_peer(sock: socket.socket, process: Process | RunningProcess, place: Socket | AppSocket) -> None:
    pid = peer(sock)[0]
    if pid != process.pid and not (place.protocol == "http_session" and _session_of(pid) == process.pid):
        raise ConnectError(f"its socket belongs to process {pid}")


def _connect_tcp(sock: socket.socket, host: str, port: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error = sock.connect_ex((host, port))
    if error == errno.EINPROGRESS:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if _is_decided(sock) else errno.EAGAIN
    if error:
        raise OSError(error, os.strerror(error))


def _is_decided(sock: socket.socket) -> bool:
    """Whether the handshake is over; over loopback it mostly is by the time connect() returns."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(0))


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:  # it has ended
        return -1


def peer(sock: SocketType) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process that connected, or of the one that called listen() (fact N11)."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(data)
    return pid, uid, gid


def _text(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
