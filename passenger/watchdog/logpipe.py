"""A stdout for nginx that it can open by name.

nginx writes its access log to `/dev/stdout` by opening it anew. That fails where our stdout is a socket (systemd's
journal: ENXIO, measured), or belongs to another user (a pipe of root's, started as somebody else: EACCES, measured).
There nginx gets a pipe of ours, and `cat` carries its lines on: nothing happens per line in this process.

Rules.
1. Where /dev/stdout can be opened, nginx gets it directly.
2. The pipe outlives a master of nginx: `cat` ends at EOF only (it ignores TERM), when the last writer has gone.
3. A `cat` that was killed costs log lines, never a request; the next master gets a new one.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

from passenger.log import Log
from passenger.watchdog.launch import KEEP, NULL, launch

CARRIER: Final = "cat"


class LogPipe:
    """Knows what nginx's stdout has to be."""

    def __init__(self, *, environ: dict[str, str], umask: int, log: Log, stdout: str = "/dev/stdout") -> None:
        self.pid: int | None = None
        self._environ = environ
        self._umask = umask
        self._log = log
        self._stdout = stdout
        self._writer: int | None = None

    def stream(self) -> int:
        """For `launch(streams=...)`: KEEP, or the descriptor of the pipe. Raises HostError without `cat`."""
        if self._writer is not None and self._is_carried():
            return self._writer
        self.close()
        if self._can_be_opened():
            return KEEP
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        try:
            self.pid = launch(
                [CARRIER],
                env=self._environ,
                umask=self._umask,
                streams=(reader, KEEP, NULL),
                before_exec=_ignore_term,
            )
        finally:
            os.close(reader)
        self._log.debug("nginx cannot open our stdout: its lines are carried by a pipe", pid=self.pid)
        return self._writer

    def close(self) -> None:
        """Nobody of ours writes any more: `cat` ends when the last nginx process has."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def _can_be_opened(self) -> bool:
        try:
            os.close(os.open(self._stdout, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def _is_carried(self) -> bool:
        """Whether `cat` lives; the reaper may have met it already, then the pid is nobody's."""
        if self.pid is None:
            return False
        with contextlib.suppress(OSError):
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stream:
                name, _, rest = stream.read().rpartition(")")
            return name.endswith(f"({CARRIER}") and rest.split()[0] != "Z"
        return False


def _ignore_term() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
