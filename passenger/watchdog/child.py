"""Starting and reaping our own children.

Rules.
1. A child gets exactly the descriptors, environment and umask that it is given, an own session (hence process group),
   /dev/null as stdin, and default signal dispositions.
2. Exits are learned from SIGCHLD plus waitid(WNOWAIT): the process group is still ours to signal while its leader is
   an unreaped zombie, so no foreign process is ever hit (fault matrix D10).
3. Adopted orphans (PID 1 duty, subreaper) are reaped silently; their status is never taken for a component's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from passenger.errors import HostError

DEFAULTED: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM)


class Child:
    """A process that we started."""

    __slots__ = ("last_words", "name", "on_exit", "pid", "popen", "started_at")

    def __init__(
        self,
        name: str,
        popen: subprocess.Popen[bytes],
        *,
        started_at: float,
        on_exit: Callable[[Child, int], None],
        last_words: int = signal.SIGKILL,
    ) -> None:
        """`last_words` is the signal for what is left of its process group when it is dead."""
        self.name = name
        self.popen = popen
        self.pid = popen.pid
        self.started_at = started_at
        self.on_exit = on_exit
        self.last_words = last_words

    def signal(self, number: int) -> None:
        """To the process itself; nothing when it was reaped."""
        if self.popen.returncode is None:
            os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """To its process group, as long as the leader is not reaped."""
        if self.popen.returncode is None:
            try:
                os.killpg(self.pid, number)
            except PermissionError:  # somebody in the group runs as another user and we are not root: at least these
                os.kill(self.pid, number)


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
            child.on_exit(child, child.popen.wait())


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    fds: Sequence[int] = (),
    umask: int = -1,
    user: int | None = None,
    group: int | None = None,
    before_exec: Callable[[], None] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program. Raises HostError that says why it could not be executed."""
    try:
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            pass_fds=tuple(fds),
            start_new_session=True,
            umask=umask,
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
            preexec_fn=before_exec,  # noqa: PLW1509 - this program has one thread
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(f"cannot start {argv[0]}: {error}") from error


def runs_as(pid: int, *, user: int, group: int, proc: str = "/proc") -> bool:
    """Whether the kernel agrees that a process dropped to exactly this user and group, with no other groups."""
    try:
        with open(f"{proc}/{pid}/status", encoding="ascii", errors="replace") as stream:
            rows = {line.partition(":")[0]: line.split()[1:] for line in stream}
    except OSError:
        return False
    return rows["Uid"] == [str(user)] * 4 and rows["Gid"] == [str(group)] * 4 and set(rows["Groups"]) <= {str(group)}


def default_signals() -> None:
    """What our own parent ignored or blocked (nohup, a careless init) is not passed on to children."""
    for number in DEFAULTED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def describe(status: int) -> str:
    """A Popen status in words."""
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
