"""A service manager's share in a test: listening sockets that are handed over, and outlive the one who gets them."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Sequence

_HAND_OVER = (
    "import fcntl, os, sys; number = int(sys.argv[1]); rest = sys.argv[2 + number :]; "
    "moved = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in sys.argv[2 : 2 + number]]; "
    "[os.close(int(fd)) for fd in sys.argv[2 : 2 + number]]; "
    "[os.dup2(fd, 3 + at) for at, fd in enumerate(moved)]; "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(number)); os.execv(rest[0], rest)"
)
"""As systemd does it: from 3 on, and named for the pid that the program will have."""

DEADLINE = 60.0


def handing_over(fds: Sequence[int]) -> tuple[str, ...]:
    """The beginning of a command that gets these descriptors (which it has to inherit)."""
    return (sys.executable, "-c", _HAND_OVER, str(len(fds)), *map(str, fds))


def listener() -> socket.socket:
    """A socket that listens on loopback."""
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen(64)
    return one


def get(port: int) -> bytes:
    """The body of `/`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()
