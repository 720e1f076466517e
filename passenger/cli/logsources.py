"""Where the lines of `passenger logs` come from. Each `read` gives the whole lines that came since the one before."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from passenger.cli import api
from passenger.errors import HostError, InstanceSelectionError
from passenger.instance.registry import InstanceRecord

TIMEOUT: Final = 10.0
TAIL: Final = 8 * 1024 * 1024
"""Bytes of a log file that are looked at, from its end."""


class Source(Protocol):
    """Lines."""

    def read(self) -> list[str]: ...
    def is_alive(self) -> bool:
        """Whether more may come."""
        ...


def _is_running(record: InstanceRecord) -> bool:
    return Path(record.paths.creation_finalized).exists()


class CoreMemory:
    """What the core has kept. A core that was replaced begins anew."""

    def __init__(self, record: InstanceRecord) -> None:
        self._record = record
        self._after = 0
        self._pid = 0
        self._was_read = False

    def read(self) -> list[str]:
        """Raises as `api.call` does, but for a core that is being replaced while we follow."""
        question = {"verb": "logs", "after": self._after, "pid": self._pid}
        what = f"the core of instance {self._record.name}"
        try:
            answer = api.call(self._record.paths.core_api, question, timeout=TIMEOUT, what=what)
        except (HostError, InstanceSelectionError):
            if self._was_read:
                return []
            raise
        if answer.get("lost"):
            print("(lines are missing here: more came than the core keeps)", file=sys.stderr)
        self._was_read = True
        self._after, self._pid = int(answer.get("next") or 0), int(answer.get("pid") or 0)
        return [str(line) for line in answer.get("lines") or ()]

    def is_alive(self) -> bool:
        return _is_running(self._record)


class LogFile:
    """A file that grows, is rotated away, or is cut."""

    def __init__(self, path: str, record: InstanceRecord) -> None:
        self._path = path
        self._record = record
        self._partial = b""
        self._stream = self._open()
        size = os.fstat(self._stream.fileno()).st_size
        if size > TAIL:
            self._stream.seek(size - TAIL)
            self._stream.readline()

    def read(self) -> list[str]:
        data = self._stream.read()
        if not data and self._is_another():
            self._stream.close()
            self._stream = self._open()
            data = self._stream.read()
        elif not data and os.fstat(self._stream.fileno()).st_size < self._stream.tell():
            self._stream.seek(0)
            data = self._stream.read()
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def is_alive(self) -> bool:
        return _is_running(self._record)

    def _is_another(self) -> bool:
        try:
            return not os.path.samestat(Path(self._path).stat(), os.fstat(self._stream.fileno()))
        except FileNotFoundError:  # rotated away, and not yet opened anew
            return False

    def _open(self) -> BinaryIO:
        try:
            return Path(self._path).open("rb")
        except OSError as error:
            hint = (
                "use sudo"
                if isinstance(error, PermissionError)
                else "was it moved? `passenger reopen-logs` makes it anew"
            )
            raise HostError(f"cannot read log file {self._path}: {error.strerror}", hint=hint) from error
