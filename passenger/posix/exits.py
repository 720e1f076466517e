"""Exits seen through pidfds: one reader on the loop per child, no SIGCHLD handler.

Rules.
1. The callback runs once, from the loop.
2. `before_reap` runs while the dead process is still a zombie: its process id and group id cannot be anybody else's.
3. A child that somebody else reaped is reported with status None.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


class ExitWatch:
    """Watches one child of this process."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        pid: int,
        before_reap: Callable[[], None],
        on_exit: Callable[[int | None], None],
    ) -> None:
        self.pid = pid
        self.ended = False
        self._loop = loop
        self._before_reap = before_reap
        self._on_exit = on_exit
        self._pidfd = os.pidfd_open(pid)
        loop.add_reader(self._pidfd, self._readable)

    def close(self) -> None:
        """Stop watching; the child is not reaped. Idempotent."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _readable(self) -> None:
        if self.ended or not _is_dead(self._pidfd):
            return
        self.ended = True
        try:
            self._before_reap()
        finally:
            status = reap(self.pid)
            self.close()
            self._on_exit(status)


def reap(pid: int) -> int | None:
    """Collect a dead child: its exit status, minus its signal number, or None when it is no child to be collected."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if found == pid else None


def _is_dead(pidfd: int) -> bool:
    """Whether the process is a zombie now; a pidfd may be reported readable spuriously."""
    try:
        return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # reaped by somebody else
    except BlockingIOError:
        return False  # libuv sets O_NONBLOCK on what it polls
