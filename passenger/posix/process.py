"""Starting a process in a session of its own, and ending everything in that session.

Rules.
1. The child leads a new session and process group: its pid is the id of both.
2. Signals go to a group or session only while its leader is our unreaped child, so that the ids are still ours.
3. A process with another identity is made by `subprocess` (setgroups, setgid, setuid in the child, before exec).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from passenger.posix.users import Identity

MOST_PASSES: Final = 100
MOST_STOPPED: Final = 100_000
"""Neither is ever reached; but what waits for hostile processes has an end."""


def start(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    identity: Identity,
    inherit: Sequence[int],
    output: int,
) -> subprocess.Popen[bytes]:
    """Start a program in `/`, with stdin closed, stdout and stderr on `output` and the descriptors of `inherit`.

    Raises OSError when it cannot be executed (the file name in it says what), SubprocessError when the user cannot be
    switched.
    """
    switch = identity.switched
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=dict(environ),
        cwd="/",
        pass_fds=tuple(inherit),
        start_new_session=True,
        user=identity.uid if switch else None,
        group=identity.gid if switch else None,
        extra_groups=list(identity.groups) if switch else None,
    )


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal a process group that we lead; one that is gone is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def sweep_session(leader: int, *, proc: Path = Path("/proc")) -> None:
    """Kill the group and every other process of the session. The leader must be an unreaped child (rule 2)."""
    signal_group(leader, signal.SIGKILL)

    def others() -> list[int]:
        return [pid for pid in session_members(leader, proc=proc) if pid != leader]

    # Asked again with the pidfd in hand: a pid that was used again in between is somebody else's.
    end_all(others, lambda pid, number: signal_one(pid, number, lambda: session_of(pid) == leader))


def end_all(members: Callable[[], Collection[int]], signal_member: Callable[[int, signal.Signals], None]) -> None:
    """Kill processes that may fork faster than they are found.

    All are stopped before the first is killed: what is stopped forks no more, and takes the places of those who would.
    A fork that was under way is completed by a stop, but not by a kill: so it is looked again afterwards.
    """
    ended: set[int] = set()
    for _ in range(MOST_PASSES):
        stopped: set[int] = set()
        while (new := set(members()) - stopped - ended) and len(stopped) < MOST_STOPPED:
            for pid in new:
                signal_member(pid, signal.SIGSTOP)
            stopped |= new
        if not stopped:
            return
        for pid in stopped:
            signal_member(pid, signal.SIGKILL)
        ended |= stopped


def signal_one(pid: int, number: signal.Signals, is_meant: Callable[[], bool]) -> None:
    """Signal a process that is no child of ours, if `is_meant` says so, asked with a pidfd in hand."""
    with contextlib.suppress(OSError):  # it ended meanwhile
        pidfd = os.pidfd_open(pid)
        try:
            if is_meant():
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


def session_members(session: int, *, proc: Path = Path("/proc")) -> list[int]:
    """Processes of a session, zombies included."""
    try:
        names = [entry.name for entry in os.scandir(proc) if entry.name.isdigit()]
    except OSError:
        return []  # no /proc: the group was signalled, more cannot be known
    return [int(name) for name in names if session_of(int(name)) == session]


def session_of(pid: int) -> int | None:
    """The session id of a process; None when it is gone. One system call: at each end of a process all are asked."""
    try:
        return os.getsid(pid)
    except OSError:
        return None
