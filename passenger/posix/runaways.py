"""Processes that went into a session of their own, out of reach of a sweep by session (fault matrix A14).

When the process that started them is gone they are children of the nearest ancestor that adopts orphans: our watchdog.
They are told from all others by a variable of their environment that only that process and its children have.

Rules.
1. Whose child a process is, who owns it and what its environment holds is asked while a pidfd of it is open that is
   still alive afterwards; the signal goes through that pidfd.
2. Only processes that the adopter has adopted and what descends from them are looked at, and only those of the user.
3. Where the environment of other users' processes is closed for us (root without CAP_SYS_PTRACE), nobody is found.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from passenger.posix import descendants

PROC = Path("/proc")


def sweep(variable: str, *, uid: int, adopter: int, proc: Path = PROC) -> list[int]:
    """Kill the orphans with this `NAME=value` in their environment and all below them; returns their process ids."""
    killed: list[int] = []
    for pid in _children(adopter, proc):
        with _held(pid, adopter, uid, proc) as pidfd:
            if pidfd >= 0 and _has(variable, pid, proc) and not descendants.is_dead(pidfd):
                _kill_below(pid, uid, proc, killed)
                descendants.send(pidfd, signal.SIGKILL)
                killed.append(pid)
    return killed


def _kill_below(parent: int, uid: int, proc: Path, killed: list[int]) -> None:
    """`parent` is held by a pidfd. Children first: those of a dead process are nobody's any more."""
    for pid in _children(parent, proc):
        with _held(pid, parent, uid, proc) as pidfd:
            if pidfd >= 0 and pid not in killed:
                _kill_below(pid, uid, proc, killed)
                descendants.send(pidfd, signal.SIGKILL)
                killed.append(pid)


@contextlib.contextmanager
def _held(pid: int, parent: int, uid: int, proc: Path) -> Iterator[int]:
    """A pidfd of the process, -1 unless it is a living child of `parent` that runs as the user throughout."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # it ended meanwhile
        yield -1
        return
    try:
        facts = descendants.facts_of(pid, proc=proc)
        known = facts is not None and facts.parent == parent and set(facts.uids) == {uid}
        yield pidfd if known and not descendants.is_dead(pidfd) else -1
    finally:
        os.close(pidfd)


def _has(variable: str, pid: int, proc: Path) -> bool:
    try:
        return variable.encode() in (proc / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _children(pid: int, proc: Path) -> list[int]:
    """The kernel's own list where there is one: no walk over every process."""
    try:
        lists = [(task / "children").read_text() for task in (proc / str(pid) / "task").iterdir()]
        return [int(child) for text in lists for child in text.split()]
    except FileNotFoundError:
        every = (descendants.facts_of(int(entry.name), proc=proc) for entry in proc.iterdir() if entry.name.isdigit())
        return [facts.pid for facts in every if facts is not None and facts.parent == pid]
    except OSError:
        return []
