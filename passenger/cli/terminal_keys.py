"""Single keys from a terminal, without Enter and without waiting longer than asked."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import tty
from collections.abc import Iterator
from typing import Final

KEY_BYTES: Final = 64
ESCAPE: Final = "\x1b"


class Keys:
    """Reads keys from a descriptor that is in cbreak mode; see `keys_of`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pending: list[str] = []

    def wait(self, seconds: float) -> str | None:
        """The next key, or None when none came in time; "\\x04" when the terminal has gone."""
        if not self._pending:
            if not select.select([self._fd], [], [], max(0.0, seconds))[0]:
                return None
            try:
                data = os.read(self._fd, KEY_BYTES)
            except OSError:
                data = b""
            self._pending = split_keys(data.decode("utf-8", "replace")) or ["\x04"]
        return self._pending.pop(0)


def split_keys(text: str) -> list[str]:
    """What was typed, key by key: an escape sequence of a cursor key is one."""
    found = []
    while text:
        length = 3 if text[0] == ESCAPE and text[1:2] in {"[", "O"} and len(text) > 2 else 1
        found.append(text[:length])
        text = text[length:]
    return found


@contextlib.contextmanager
def keys_of(fd: int) -> Iterator[Keys]:
    """The keys of a terminal; its modes are put back afterwards."""
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield Keys(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
