"""Processes that are no children of ours but descend from one: who they are, their end, their signals.

Rules.
1. What /proc says about a pid is only believed when a pidfd that was opened before is still alive afterwards.
2. Signals go through pidfds, so that a pid that was used again is never hit (CVE-2018-12028).
3. The kernel gives a number to nobody while it still names a session: members of a session whose leader is gone
   are members of that session, unless a leader of another start time has taken the number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

from passenger.lazy_dataclass import dataclass
from passenger.posix.process import end_all, session_members, signal_one


@dataclass(frozen=True, slots=True)
class Facts:
    """A process as /proc shows it."""

    pid: int
    state: str
    parent: int
    session: int
    started: int
    """In clock ticks since the boot: with the pid it names a process uniquely."""
    uids: tuple[int, ...]
    """Real, effective, saved and file system user."""
    exit_code: int
    """Wait status; only of a zombie, and only if we may see it."""


def facts_of(pid: int, *, proc: Path = Path("/proc")) -> Facts | None:
    """None when the process is gone or cannot be looked at."""
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
        status = (proc / str(pid) / "status").read_bytes()
        fields = stat[stat.rindex(b")") + 2 :].split()
        uids = next(line for line in status.splitlines() if line.startswith(b"Uid:")).split()[1:]
        return Facts(
            pid=pid,
            state=fields[0].decode(),
            parent=int(fields[1]),
            session=int(fields[3]),
            started=int(fields[19]),
            uids=tuple(map(int, uids)),
            exit_code=int(fields[49]),
        )
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def is_dead(pidfd: int) -> bool:
    """Whether the process has ended; unlike `waitid` this works for processes that are no children."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def send(pidfd: int, number: signal.Signals) -> None:
    """Signal one process; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, number)


def signal_others(leader: Facts, number: signal.Signals, *, proc: Path = Path("/proc")) -> None:
    """Signal the other processes of a session that `leader` made, which may be gone; only those of its real user."""

    def others() -> list[int]:
        return [pid for pid in session_members(leader.pid, proc=proc) if pid != leader.pid]

    def signal_other(pid: int, number: signal.Signals) -> None:
        signal_one(pid, number, lambda: _belongs(facts_of(pid, proc=proc), leader, facts_of(leader.pid, proc=proc)))

    if number is signal.SIGKILL:
        end_all(others, signal_other)
        return
    for pid in others():
        signal_other(pid, number)


def _belongs(member: Facts | None, leader: Facts, now: Facts | None) -> bool:
    if member is None or member.session != leader.pid or member.uids[0] != leader.uids[0]:
        return False
    return now is None or now.started == leader.started


class EndWatch:
    """Tells once, from the loop, that a process has ended: with its exit status, if that could still be seen.

    The pidfd becomes the watch's and is closed by it.
    """

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, facts: Facts, pidfd: int, on_end: Callable[[int | None], None]
    ) -> None:
        self.pidfd = pidfd
        self._loop = loop
        self._facts = facts
        self._on_end = on_end
        loop.add_reader(pidfd, self._readable)

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if self.pidfd >= 0:
            self._loop.remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1

    def _readable(self) -> None:
        if self.pidfd < 0 or not is_dead(self.pidfd):
            return
        now = facts_of(self._facts.pid)
        self.close()
        is_zombie = now is not None and now.state == "Z" and now.started == self._facts.started
        self._on_end(os.waitstatus_to_exitcode(now.exit_code) if now is not None and is_zombie else None)
