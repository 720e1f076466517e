"""Listening sockets: made once, with their final rights, before anybody can connect; and who is at the other end.

Rules.
1. A Unix socket is never reachable with wider rights than asked for: it is bound under a closed umask, then opened up.
2. Descriptors are not inheritable; whoever starts a child names the ones it gets.
3. IPv6 sockets take IPv6 only, so that `0.0.0.0:80` and `[::]:80` can stand side by side (nginx's `ipv6only=on`).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final, NamedTuple

from passenger.errors import HostError

UNIX_PATH_MAX: Final = 107
BACKLOG: Final = 65535
ENOUGH_BACKLOG: Final = 4096
SOMAXCONN: Final = "/proc/sys/net/core/somaxconn"
SO_PEERGROUPS: Final = 59
"""Not named by Python's socket module."""
MANY_GROUPS: Final = 256
_GID: Final = struct.Struct("I")


class PeerCredentials(NamedTuple):
    """Who connected (or, on a client socket, who called listen), by the kernel."""

    pid: int
    uid: int
    gid: int


def usable_backlog(somaxconn_file: str = SOMAXCONN) -> int:
    """The longest accept queue that the kernel grants: a short one turns a pause of the core into 502s (fact N9)."""
    try:
        with open(somaxconn_file, encoding="ascii") as stream:
            return min(int(stream.read()), BACKLOG)
    except (OSError, ValueError):
        return ENOUGH_BACKLOG


def bind_unix(path: str, *, mode: int, gid: int | None = None, backlog: int = BACKLOG) -> socket.socket:
    """A listening stream socket at `path`, whose folder nobody else may write to. Raises HostError."""
    length = len(os.fsencode(path))
    if length > UNIX_PATH_MAX:
        raise HostError(
            f"socket path {path} is {length} bytes long; the kernel allows {UNIX_PATH_MAX}",
            hint="choose a shorter registry_dir or a shorter instance name",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(path)
        if gid is not None:
            os.chown(path, -1, gid, follow_symlinks=False)
        os.chmod(path, mode)  # after the owner: a chown may clear bits
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise HostError(f"cannot listen on {path}: {error.strerror}") from error
    finally:
        os.umask(previous)
    return listener


def bind_tcp(host: str, port: int, *, backlog: int = BACKLOG) -> socket.socket:
    """A listening TCP socket on a numeric address. Raises HostError that names the address and, if known, the owner."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise HostError(f"cannot listen on {shown_address(host, port)}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _bind_error(host, port, error) from error
    return listener


def shown_address(host: str, port: int) -> str:
    """`127.0.0.1:80` or `[::1]:80`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def peer_credentials(connection: socket.socket) -> PeerCredentials:
    """SO_PEERCRED of a Unix socket."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    return PeerCredentials(*struct.unpack("iII", raw))


def peer_groups(connection: socket.socket) -> frozenset[int]:
    """The groups that the peer had when it connected, by the kernel; none that can be told beyond MANY_GROUPS."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MANY_GROUPS * _GID.size)
    except OSError:  # more groups than we ask for, or a kernel that does not tell
        return frozenset()
    return frozenset(gid for (gid,) in _GID.iter_unpack(raw))


def _bind_error(host: str, port: int, error: OSError) -> HostError:
    address = shown_address(host, port)
    if error.errno == errno.EADDRINUSE:
        from passenger.posix.listeners import port_owner  # its pathlib would cost every watchdog 0.7 MB

        owner = port_owner(port)
        by = f" by process {owner}" if owner else ""
        return HostError(
            f"cannot listen on {address}: the port is already in use{by}",
            hint="stop that program or choose another port",
        )
    if error.errno == errno.EACCES:
        hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher port"
        return HostError(f"cannot listen on {address}: permission denied", hint=hint)
    if error.errno == errno.EADDRNOTAVAIL:
        hint = "use an address of this machine, or 0.0.0.0 for all"
        return HostError(f"cannot listen on {address}: this machine has no such address", hint=hint)
    return HostError(f"cannot listen on {address}: {error.strerror}")
