"""systemd's journal, spoken natively: one datagram per event, with fields that `journalctl PASSENGER_APP=blog` finds.

Rules.
1. It is used when stderr is the journal's stream (`$JOURNAL_STREAM` names it by device and inode), never otherwise.
2. A field's value is data: one with a line end is sent with its length, so no event can look like two.
3. An entry that is too large for a datagram goes as sealed memory, as the journal wants it.
4. What cannot be sent is an OSError for the caller, who still has stderr.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import struct
from collections.abc import Mapping
from typing import Final

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "passenger"
PREFIX: Final = "PASSENGER_"
PRIORITIES: Final = {"error": 3, "warn": 4, "info": 6, "debug": 7}
"""Our levels in the words of syslog."""
PATIENCE: Final = 0.1
"""Seconds that a journal may take to read."""

_NO_NAME: Final = re.compile(r"[^A-Z0-9_]")
_LENGTH: Final = struct.Struct("<Q")
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def entry(level: str, message: str, fields: Mapping[str, object]) -> bytes:
    """An event in the journal's form; our own fields get a prefix."""
    own = {PREFIX + _NO_NAME.sub("_", name.upper()): value for name, value in fields.items()}
    known = {"MESSAGE": message, "PRIORITY": PRIORITIES[level], "SYSLOG_IDENTIFIER": IDENTIFIER}
    return b"".join(_field(name, str(value)) for name, value in (known | own).items())


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return name.encode() + b"\n" + _LENGTH.pack(len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def is_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether a descriptor is the stream that the service manager has connected to the journal."""
    try:
        facts = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{facts.st_dev}:{facts.st_ino}"


def journal_behind(fd: int, environ: Mapping[str, str]) -> Journal | None:
    """The journal, if the descriptor leads there."""
    return Journal() if is_journal(fd, environ) else None


class Journal:
    """The journal's socket, addressed by its path for every entry: a journal that is restarted makes another one."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(PATIENCE)

    def send(self, data: bytes) -> None:
        """Raises OSError."""
        try:
            self._socket.sendto(data, self._path)
        except OSError as error:
            if error.errno not in {errno.EMSGSIZE, errno.ENOBUFS}:
                raise
            self._send_memory(data)

    def close(self) -> None:
        self._socket.close()

    def _send_memory(self, data: bytes) -> None:
        fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))]
            self._socket.sendmsg([], ancillary, 0, self._path)
        finally:
            os.close(fd)
