"""What a service manager hands over at the start: listening sockets, a socket for notices, the time between two pings.

The protocols are systemd's (sd_listen_fds, sd_notify, sd_watchdog_enabled). A parent of several watchdogs hands its own
share on under names of ours, because systemd's are bound to one pid.

Rules.
1. Variables that name another process are not for us.
2. A descriptor that was handed over is closed on exec from here on: children get what they are given by name.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

FIRST_FD: Final = 3
OWN_FDS: Final = "PASSENGER_LISTEN_FDS"
"""Numbers of descriptors, from our own parent."""
OWN_NOTIFY: Final = "PASSENGER_NOTIFY_FD"
VARIABLES: Final = (
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"),
    *(OWN_FDS, OWN_NOTIFY),
)
"""They mean this process, not its children."""

Address = tuple[str, int]


class Given(NamedTuple):
    """What this process was given."""

    notify_address: str = ""
    notify_fd: int | None = None
    ping_within: float | None = None
    """Seconds within which the service manager wants a ping; None = it wants none."""
    listen_fds: Sequence[int] = ()


def given(environ: Mapping[str, str], pid: int) -> Given:
    """Read the variables."""
    microseconds = _number(environ.get("WATCHDOG_USEC"))
    pings = microseconds and environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    own = environ.get(OWN_FDS)
    if own is not None:
        fds = [int(word) for word in own.split(",") if word.isdigit()]
    elif environ.get("LISTEN_PID") == str(pid):
        fds = list(range(FIRST_FD, FIRST_FD + _number(environ.get("LISTEN_FDS"))))
    else:
        fds = []
    notify = environ.get(OWN_NOTIFY, "")
    return Given(
        notify_address=environ.get("NOTIFY_SOCKET", ""),
        notify_fd=int(notify) if notify.isdigit() else None,
        ping_within=microseconds / 1e6 if pings else None,
        listen_fds=fds,
    )


def keep_from_children(what: Given) -> None:
    """Descriptors are ours alone. One that is not open at all is forgotten by everybody who looks at it later."""
    for fd in (*what.listen_fds, *([] if what.notify_fd is None else [what.notify_fd])):
        try:
            os.set_inheritable(fd, False)
        except OSError:  # the variable lies: `address_of` says so where it matters
            continue


def address_of(fd: int) -> Address | None:
    """Numeric host and port that a descriptor listens on; None when it is no listening TCP socket."""
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
        with _copy(fd) as one:
            is_tcp = one.family in {socket.AF_INET, socket.AF_INET6} and one.type == socket.SOCK_STREAM
            if not is_tcp or not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return None
            name = one.getsockname()
            return str(name[0]), int(name[1])
    except OSError:
        return None


def takes_both_families(fd: int) -> bool:
    """Whether an IPv6 socket is bound for IPv4 as well."""
    with _copy(fd) as one:
        return one.family == socket.AF_INET6 and not one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def addresses_of(fds: Iterable[int]) -> dict[Address, int]:
    """The addresses among descriptors."""
    return {address: fd for fd in fds if (address := address_of(fd)) is not None}


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0


def _copy(fd: int) -> socket.socket:
    return socket.socket(fileno=os.dup(fd))
