"""Our own children: signalling and reaping them.

Rules.
1. Children are started by `launch`: own session and process group, only the descriptors that are named.
2. Exits are learned from SIGCHLD plus waitid(WNOWAIT): the process group is still ours to signal while its leader is
   an unreaped zombie, so no foreign process is ever hit (fault matrix D10).
3. Adopted orphans (PID 1 duty, subreaper) are reaped silently; their status is never taken for a component's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

DEFAULTED: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM)
STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Child:
    """A process that we started; it leads its own process group."""

    __slots__ = ("is_reaped", "last_words", "name", "on_exit", "pid", "started_at")

    def __init__(
        self,
        name: str,
        pid: int,
        *,
        started_at: float,
        on_exit: Callable[[Child, int], None],
        last_words: int = signal.SIGKILL,
    ) -> None:
        """`on_exit` gets the status as `os.waitstatus_to_exitcode` gives it. `last_words` is the signal for what is
        left of the process group when the child is dead."""
        self.name = name
        self.pid = pid
        self.started_at = started_at
        self.on_exit = on_exit
        self.last_words = last_words
        self.is_reaped = False

    def signal(self, number: int) -> None:
        """To the process itself; nothing when it was reaped."""
        if not self.is_reaped:
            os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """To its process group, as long as the leader is not reaped."""
        if not self.is_reaped:
            os.killpg(self.pid, number)


class Reaper:
    """Knows our children by pid and reaps whatever dies."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}

    def add(self, child: Child) -> None:
        self._children[child.pid] = child

    def pids(self) -> set[int]:
        """Children that we started and that were not reaped yet."""
        return set(self._children)

    def reap(self) -> None:
        """Collect every exit there is. A child's callback runs after it was reaped."""
        while (pid := _next_exit()) is not None:
            child = self._children.pop(pid, None)
            if child is None:
                _reap_orphan(pid)
                continue
            child.signal_group(child.last_words)  # what a dead leader left in its own group
            _, status = os.waitpid(pid, 0)
            child.is_reaped = True
            child.on_exit(child, os.waitstatus_to_exitcode(status))


def runs_as(pid: int, *, user: int, group: int, proc: str = "/proc") -> bool:
    """Whether the kernel agrees that a process dropped to exactly this user and group, with no other groups."""
    try:
        with open(f"{proc}/{pid}/status", encoding="ascii", errors="replace") as stream:
            rows = {line.partition(":")[0]: line.split()[1:] for line in stream}
    except OSError:
        return False
    return rows["Uid"] == [str(user)] * 4 and rows["Gid"] == [str(group)] * 4 and set(rows["Groups"]) <= {str(group)}


def default_signals() -> None:
    """What our own parent ignored or blocked (nohup, a careless init) is not passed on to children.

    STOPPING stay blocked until `Signals` can deliver them: as PID 1 they would be lost, not deadly.
    """
    for number in DEFAULTED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, STOPPING)


def describe(status: int) -> str:
    """An exit status, or minus a signal number, in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _next_exit() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found is not None else None


def _reap_orphan(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # somebody else in this process collected it
        os.waitpid(pid, os.WNOHANG)
