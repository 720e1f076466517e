"""Is an announced socket what it claims to be? Checked before a request is ever sent to it.

Rules (fault matrix F14, CVE-2018-12027).
1. A Unix socket lies directly inside the instance's own folder for application sockets, by name, not by path.
2. It is a socket (lstat), owned by the application's user, and the process that listens on it is the one we started
   (SO_PEERCRED tells who called listen, fact N11); over HTTP also a member of the session that it leads, because a
   program that knows nothing of us is started by a loader that stays.
3. A TCP socket is on a loopback address, and speaks HTTP. Every socket that a connection there reaches is open in the
   process or in its session. Where we may not look into processes of other users (root without CAP_SYS_PTRACE, as in
   most containers), it is at least the application's user who made it.
4. It is removed only if it is still a socket of that owner. What a failed start left goes by the same rule, if nobody
   has it open.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from passenger.config.paths import UNIX_PATH_MAX
from passenger.posix import listeners
from passenger.posix.listeners import Listener
from passenger.posix.process import session_members, session_of
from passenger.spawn.failure import SpawnFailure

KERNEL_TABLE: Final = Path("/proc/net/unix")
PEER_CREDENTIALS: Final = struct.Struct("3i")


def check(address: str, *, socket_dir: str, pid: int, uid: int, by_session: bool = False) -> None:
    """Raise SpawnFailure unless the address can be trusted. `by_session`: HTTP, all of the session may listen."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        _check_file(path, socket_dir, uid)
        connect(path, pid, by_session=by_session).close()
    else:
        host, port = _tcp_place(address)
        if not by_session:  # the password of the session protocol would go to whoever listens there
            raise SpawnFailure(
                "socket-session-over-tcp",
                f"{address} is announced for the session protocol, which is spoken over Unix sockets only",
                hint="announce a Unix socket in `socket_dir`, or `http_session`",
            )
        _check_listeners(address, _listening(host, port), pid=pid, uid=uid)


def check_preloader(address: str, *, socket_dir: str, uid: int) -> None:
    """Raise SpawnFailure unless the address is a socket of the user in the right place; who listens is seen later."""
    _check_file(address.removeprefix("unix:"), socket_dir, uid)


def connect(address: str, pid: int, *, by_session: bool = False) -> socket.socket:
    """A non-blocking connection whose other end is that process, or of its session. Raises SpawnFailure."""
    path = address.removeprefix("unix:")
    conn = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _connect(conn, path, pid, by_session=by_session)
    except SpawnFailure:
        conn.close()
        raise
    return conn


def remove(address: str, *, socket_dir: str, uid: int) -> None:
    """Remove a socket file, if it is one and still the application's."""
    folder, name = os.path.split(address.removeprefix("unix:"))
    if not address.startswith("unix:") or folder != socket_dir:
        return
    with contextlib.suppress(OSError), _opened(socket_dir) as folder_fd:
        _remove(folder_fd, name, uid)


def remove_left(*, socket_dir: str, uid: int) -> None:
    """Remove the socket files of a user that no process has open any more: who made them died before it could say so.

    The kernel's table is read after the folder was: what somebody makes meanwhile is in the table alone.
    """
    with contextlib.suppress(FileNotFoundError), _opened(socket_dir) as folder_fd:  # gone with its instance
        names = os.listdir(f"/proc/self/fd/{folder_fd}")  # noqa: PTH208 - by the descriptor, not by the path
        open_ones = _open_sockets() if names else set()
        for name in names:
            if f"{socket_dir}/{name}" not in open_ones:
                with contextlib.suppress(FileNotFoundError):  # somebody else was faster
                    _remove(folder_fd, name, uid)


def _open_sockets() -> set[str]:
    """The paths of all Unix sockets that some process has open."""
    with KERNEL_TABLE.open(encoding="utf-8", errors="surrogateescape") as table:
        return {path for line in table for path in line.rstrip("\n").split(maxsplit=7)[7:]}


def _remove(folder_fd: int, name: str, uid: int) -> None:
    found = os.lstat(name, dir_fd=folder_fd)
    if stat.S_ISSOCK(found.st_mode) and found.st_uid == uid:
        os.unlink(name, dir_fd=folder_fd)


def _check_file(path: str, socket_dir: str, uid: int) -> None:
    folder, name = os.path.split(path)
    if folder != socket_dir or name in {"", ".", ".."}:
        raise SpawnFailure("socket-outside", f"the socket {path} is not directly inside {socket_dir}")
    if len(os.fsencode(path)) > UNIX_PATH_MAX:
        raise SpawnFailure("socket-path-too-long", f"the socket path {path} is longer than {UNIX_PATH_MAX} bytes")
    try:
        with _opened(socket_dir) as folder_fd:
            found = os.lstat(name, dir_fd=folder_fd)
    except OSError as error:
        raise SpawnFailure("socket-missing", f"the socket {path} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISSOCK(found.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no socket"
        raise SpawnFailure("socket-not-a-socket", f"{path} is {what}")
    if found.st_uid != uid:
        raise SpawnFailure("socket-foreign-owner", f"{path} belongs to user {found.st_uid}, not to {uid}")


def _connect(conn: socket.socket, path: str, pid: int, *, by_session: bool) -> None:
    try:
        conn.connect(path)
    except OSError as error:
        raise SpawnFailure("socket-not-listening", f"nobody answers on {path}: {error.strerror}") from error
    listener, _, _ = PEER_CREDENTIALS.unpack(
        conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    )
    if listener != pid and not (by_session and session_of(listener) == pid):
        raise SpawnFailure(
            "socket-foreign-process",
            f"{path} is listened on by process {listener}, not by {pid}",
            hint="the application must not fork away from the process that Passenger started",
        )


def _tcp_place(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    host = host.strip("[]")
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback or not 0 < int(port) < 65536:
        raise SpawnFailure("socket-not-loopback", f"{address} is no port of a loopback address such as 127.0.0.1")
    return host, int(port)


def _listening(host: str, port: int) -> list[Listener]:
    try:
        return listeners.reached(host, port)
    except OSError as error:
        raise SpawnFailure(
            "socket-unverified",
            f"who listens on port {port} cannot be found out: {error.filename}: {error.strerror}",
            hint="let /proc be readable for Passenger, or the application listen on a Unix socket",
        ) from error


def _check_listeners(address: str, found: list[Listener], *, pid: int, uid: int) -> None:
    if not found:
        raise SpawnFailure("socket-not-listening", f"nobody listens on {address}")
    inodes = {listener.inode for listener in found}
    own, complete = listeners.held(inodes, chain([pid], _session(pid)))
    strange = [one for one in found if one.inode not in own and (complete or one.uid != uid)]
    if strange:
        who = listeners.owner({one.inode for one in strange}) or f"a process of user {strange[0].uid}"
        raise SpawnFailure(
            "socket-foreign-process",
            f"{address} is listened on by {who}, which does not belong to process {pid}",
            hint="let it listen on a port of its own, in a process that stays in the session it was started in",
        )


def _session(pid: int) -> Iterator[int]:
    """The processes of its session; looked for only when somebody asks."""
    yield from session_members(pid)


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
