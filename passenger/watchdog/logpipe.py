"""A stdout for nginx that it can open by name.

nginx writes its access log to `/dev/stdout` by opening it anew. That fails where our stdout is a socket (systemd's
journal: ENXIO, measured), or belongs to another user (a pipe of root's, started as somebody else: EACCES, measured).
There nginx gets a pipe of ours, and `cat` carries its lines on: nothing happens per line in this process.

Rules.
1. Where /dev/stdout can be opened, nginx gets it directly; but not a log file that `reopen` may have to change. A file
   that a shell has opened by `>` is first told to append: else what we write would lie over what nginx has written.
2. The pipe outlives a master of nginx: `cat` ends at EOF only (it ignores TERM), when the last writer has gone.
3. A `cat` that was killed costs log lines, never a request; the next master gets a new one.
4. `reopen` puts a second `cat` on the same pipe, with the new stdout, and ends the first one when it holds no line: it
   waited for input, was stopped then, and has read nothing since. Killed while it only seems to wait it would take
   with it what it has just read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
from collections.abc import Sequence
from typing import Final

from passenger.errors import HostError
from passenger.log import Log
from passenger.watchdog.launch import KEEP, NULL, launch
from passenger.watchdog.loop import Loop

CARRIER: Final = "cat"
PAUSE: Final = 0.01
PATIENCE: Final = 200
"""Looks at a `cat` that is to end, one each PAUSE, before it is ended whatever it does."""


class LogPipe:
    """Knows what nginx's stdout has to be."""

    def __init__(
        self,
        *,
        environ: dict[str, str],
        umask: int,
        log: Log,
        loop: Loop,
        stdout: str = "/dev/stdout",
        is_own_file: bool = False,
    ) -> None:
        """`is_own_file`: stdout is a log file of this instance."""
        self.pid: int | None = None
        self._loop = loop
        self._is_own_file = is_own_file
        self._environ = environ
        self._umask = umask
        self._log = log
        self._stdout = stdout
        self._writer: int | None = None
        self._stopped: set[int] = set()
        """Carriers (pidfds) that are stopped and looked at."""

    def stream(self) -> int:
        """For `launch(streams=...)`: KEEP, or the descriptor of the pipe. Raises HostError without `cat`."""
        if self._writer is not None and self._is_carried():
            return self._writer
        self.close()
        if not self._is_own_file and self._can_be_opened():
            append_always()
            return KEEP
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self._carry(reader)
        self._log.debug("nginx does not open our stdout: its lines are carried by a pipe", pid=self.pid)
        return self._writer

    def reopen(self) -> None:
        """Our stdout is another file now: nginx's lines go there, too. Raises HostError without `cat`."""
        if self.pid is None or not self._is_carried():
            return
        old = self.pid
        try:
            pidfd, reader = os.pidfd_open(old), os.open(f"/proc/{old}/fd/0", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it ends just now: so did nginx
            return
        try:
            self._carry(reader)
        except HostError:
            os.close(pidfd)
            raise
        self._retire(old, pidfd, PATIENCE)

    def _carry(self, reader: int) -> None:
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

    def _retire(self, pid: int, pidfd: int, patience: int) -> None:
        """One that sleeps waits for input, and has written all that it has read: files are written without sleep."""
        read = _bytes_read(pid)
        if patience and _state(pid) not in {"S", ""}:
            self._loop.after(PAUSE, lambda: self._retire(pid, pidfd, patience - 1))
            return
        self._stopped.add(pidfd)
        _signal(pidfd, signal.SIGSTOP)
        self._end_stopped(pid, pidfd, patience, read)

    def _end_stopped(self, pid: int, pidfd: int, patience: int, read: int | None) -> None:
        """`read` is what it had read before it waited."""
        if pidfd not in self._stopped:  # `close` let it go on
            os.close(pidfd)
        elif patience and _state(pid) not in {"T", "Z", ""}:
            self._loop.after(PAUSE, lambda: self._end_stopped(pid, pidfd, patience - 1, read))
        elif patience and _bytes_read(pid) != read:
            self._stopped.remove(pidfd)
            _signal(pidfd, signal.SIGCONT)
            self._loop.after(PAUSE, lambda: self._retire(pid, pidfd, patience - 1))
        else:
            self._stopped.remove(pidfd)
            _signal(pidfd, signal.SIGKILL)
            os.close(pidfd)

    def close(self) -> None:
        """Nobody of ours writes any more: each `cat` ends when the last nginx process has."""
        for pidfd in self._stopped:
            _signal(pidfd, signal.SIGCONT)
        self._stopped.clear()
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
        return _state(self.pid) not in {"", "Z"}


def append_always(descriptors: Sequence[int] = (1, 2)) -> None:
    """Whoever writes to these, if they are files, writes at the end: nginx opens the same file anew."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # closed, or a file that may only be written elsewhere: nothing to do for us
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)


def _state(pid: int) -> str:
    """`S` sleeps, `R` runs, `T` is stopped, `Z` has ended, ...; "" when there is no `cat` of that number."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            name, _, rest = stream.read().rpartition(")")
        return rest.split()[0] if name.endswith(f"({CARRIER}") else ""
    return ""


def _bytes_read(pid: int) -> int | None:
    """By all its reads; None when it has ended, or the kernel does not count them."""
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/io", encoding="ascii") as stream:
        return int(stream.readline().split()[1])
    return None


def _signal(pidfd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def _ignore_term() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
