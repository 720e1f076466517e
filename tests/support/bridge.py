"""A network bridge for a private engine, so that it does not share `docker0` with another one.

The kernel is asked by ioctl: a small Debian has no `ip` command. The engine gives the bridge its addresses.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from collections.abc import Iterator

_ADD, _DELETE, _GET_FLAGS, _SET_FLAGS = 0x89A0, 0x89A1, 0x8913, 0x8914
_UP = 1


@contextlib.contextmanager
def bridge(name: str) -> Iterator[str]:
    """A bridge for the time of the block; one left by a run that was killed is taken over."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        with contextlib.suppress(FileExistsError):
            fcntl.ioctl(talk, _ADD, name.encode() + b"\0")
        try:
            yield name
        finally:
            packed = fcntl.ioctl(talk, _GET_FLAGS, struct.pack("16sh14x", name.encode(), 0))
            (flags,) = struct.unpack_from("h", packed, 16)
            fcntl.ioctl(
                talk, _SET_FLAGS, struct.pack("16sh14x", name.encode(), flags & ~_UP)
            )  # only a quiet one can go
            fcntl.ioctl(talk, _DELETE, name.encode() + b"\0")
