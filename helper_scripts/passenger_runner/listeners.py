"""Who listens on a port or a socket: found out from the kernel, never from what somebody says.

Rules.
1. A Unix socket tells the process that called listen() (SO_PEERCRED).
2. A TCP port: inode of the listening socket from /proc/net/tcp and tcp6, looked for among the descriptors of processes.
3. Ours is what belongs to our session: the spawner sweeps it when the application ends, and nothing else.
"""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost some milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterator

CREDENTIALS = struct.Struct("3i")
LISTENING = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def accepts(address: str | tuple[str, int]) -> int | None:
    """Connect to a Unix path or (host, port). None: nobody answers. Else the listener's pid, 0 for TCP."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        try:
            sock.connect(address)
        except OSError:
            return None
        if family == socket.AF_INET:
            return 0
        pid: int = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[0]
        return pid


def session_of(pid: int) -> int:
    """The session of a process; -1 when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def listening_inodes(port: int) -> dict[str, bool]:
    """Inode of each socket that listens on the port -> whether it is on loopback only."""
    return {inode: address in LOOPBACK for address, number, inode in listening() if number == port}


def ports_of(session: int) -> list[int]:
    """Where the processes of a session (those that may be looked into) listen, in order."""
    ports = {"socket:[%s]" % inode: number for _, number, inode in listening()}
    members = [pid for pid in processes() if session_of(pid) == session]
    return sorted({ports[link] for pid in members for link in descriptors(pid) if link in ports})


def listening() -> Iterator[tuple[str, int, str]]:
    """Address (as the kernel writes it), port and inode of every listening TCP socket."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                rows = file.readlines()[1:]
        except OSError:
            continue  # no IPv6
        for row in rows:
            fields = row.split()
            address, _, number = fields[1].partition(":")
            if fields[3] == LISTENING:
                yield address, int(number, 16), fields[9]


def holders(inodes: set[str]) -> list[int]:
    """The processes (of those that may be looked into) that have one of the sockets open."""
    wanted = {"socket:[%s]" % inode for inode in inodes}
    return [pid for pid in processes() if any(link in wanted for link in descriptors(pid))]


def descends(pid: int, ancestor: int) -> bool:
    """Whether a process comes from another one. The ancestor adopts orphans, so that the chain does not break."""
    while pid > 1 and pid != ancestor:
        try:
            with open("/proc/%d/stat" % pid) as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
    return pid == ancestor


def processes() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def descriptors(pid: int) -> Iterator[str]:
    folder = "/proc/%d/fd" % pid
    try:
        names = os.listdir(folder)
    except OSError:
        return  # gone, or another user's
    for name in names:
        try:
            yield os.readlink(folder + "/" + name)
        except OSError:
            continue
