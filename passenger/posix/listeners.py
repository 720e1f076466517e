"""Who listens on a TCP port: asked of the kernel (/proc/net/tcp*, /proc/PID/fd), never of the one who says so.

Rules.
1. A connection goes to the most exact address that is listened on; sockets of less exact ones never see it.
2. A socket is known by its inode. Who holds it is found only among processes that we may look into; the user who made
   it stands in the table for everybody to see.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
_TABLES: Final = ("net/tcp", "net/tcp6")
_LISTENING: Final = "0A"


class Listener(NamedTuple):
    """A listening socket."""

    address: str
    """As the table writes it."""
    uid: int
    inode: str


def reached(host: str, port: int, *, proc: Path = PROC) -> list[Listener]:
    """The sockets that a connection to a numeric address reaches: several only when they share the port.

    Raises OSError when there are no tables to look into.
    """
    found = list(listening(port, proc=proc))
    for addresses in _by_exactness(host):
        if chosen := [listener for listener in found if listener.address in addresses]:
            return chosen
    return []


def listening(port: int, *, proc: Path = PROC) -> Iterator[Listener]:
    """Every socket that listens on a port, whatever the address. Raises OSError when no table can be read."""
    problem: OSError | None = None
    read = 0
    for table in _TABLES:
        try:
            stream = (proc / table).open(encoding="ascii")
        except OSError as error:  # no IPv6, mostly
            problem = error
            continue
        read += 1
        with stream:
            next(stream, None)
            for line in stream:
                columns = line.split(maxsplit=10)
                address, _, number = columns[1].partition(":")
                if columns[3] == _LISTENING and int(number, 16) == port:
                    yield Listener(address, int(columns[7]), columns[9])
    if not read and problem is not None:
        raise problem


def held(inodes: Iterable[str], pids: Iterable[int], *, proc: Path = PROC) -> tuple[set[str], bool]:
    """Which of the sockets the processes have open, and whether all of them that live could be looked into."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: set[str] = set()
    complete = True
    for pid in pids:
        if len(found) == len(wanted):
            break
        try:
            found |= {wanted[link] for link in _descriptors(proc / str(pid) / "fd") if link in wanted}
        except PermissionError:
            complete = False
        except OSError:
            continue  # it has ended
    return found, complete


def port_owner(port: int, *, proc: Path = PROC) -> str:
    """`PID (name)` of a process that listens on a port; "" when /proc does not let us see it."""
    try:
        inodes = {listener.inode for listener in listening(port, proc=proc)}
    except OSError:
        return ""
    return owner(inodes, proc=proc)


def owner(inodes: set[str], *, proc: Path = PROC) -> str:
    """`PID (name)` of a process that has one of the sockets open; "" when none is found."""
    for folder in proc.iterdir() if inodes else ():
        if folder.name.isdigit() and held(inodes, [int(folder.name)], proc=proc)[0]:
            try:
                return f"{folder.name} ({(folder / 'comm').read_text(errors='replace').strip()})"
            except OSError:
                return folder.name
    return ""


def _descriptors(folder: Path) -> Iterator[str]:
    for link in folder.iterdir():
        try:
            yield str(link.readlink())
        except FileNotFoundError:
            continue  # closed meanwhile


def _by_exactness(host: str) -> list[set[str]]:
    """The addresses of sockets that may take a connection to `host`, as the tables write them, best first."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return [{_written(address)}, {_written(ipaddress.IPv6Address(0))}]
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    exact, every = {_written(address), _written(mapped)}, {_written(ipaddress.IPv4Address(0))}
    return [exact, every, {_written(ipaddress.IPv6Address(0))}]


def _written(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The kernel prints addresses word by word in the machine's byte order."""
    packed = address.packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
