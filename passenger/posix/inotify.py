"""inotify(7): what happens to the names in folders.

Rules.
1. Folders are watched, never files: a file that is replaced, and a link that is switched, are events of their folder.
2. Numbers are from `linux/inotify.h`. A refused call raises OSError.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

_EVENT: Final = struct.Struct("iIII")
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_ONLYDIR: Final = 0x01000000
_NAMES: Final = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR
_OVERFLOW: Final = 0x4000


class FolderEvents:
    """Owns one descriptor: ready for reading when something has happened in a folder that was added."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._checked(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "")

    def add(self, folder: str) -> int:
        """The number by which events of this folder come; the same one for the same folder."""
        return self._checked(self._libc.inotify_add_watch(self.fd, os.fsencode(folder), _NAMES), folder)

    def read(self) -> list[tuple[int, str]]:
        """(number of the folder, name in it) of everything that has happened; (-1, "") when more did than is known."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            found.append((-1, "") if mask & _OVERFLOW else (number, name))
            at += length
        return found

    def close(self) -> None:
        os.close(self.fd)

    @staticmethod
    def _checked(result: int, folder: str) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
        return result
