"""A program in a process group of its own, in the loader's session, up to the end of its last process.

Rules.
1. Its stdout and stderr are the loader's; its stdin is empty.
2. The loader adopts what the program leaves behind (PR_SET_CHILD_SUBREAPER): the end of the group can be awaited, what
   has left the session is ended too, and no zombie stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess

from passenger_loader.talk import Explanation

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost some milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PR_SET_CHILD_SUBREAPER = 36
GENERATIONS = 100
"""How often children of killed children are looked for."""


def adopt_orphans() -> None:
    """Best effort: without it, orphans go to process 1 and the spawner's sweep ends them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Command:
    """One run of the program."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], stop_signal: signal.Signals) -> None:
        try:
            self._popen = subprocess.Popen(argv, env=environ, stdin=subprocess.DEVNULL, process_group=0)
        except OSError as error:
            raise Explanation("%s cannot be started: %s" % (argv[0], error.strerror)) from error
        self._stop_signal = stop_signal
        self.pid = self._popen.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.asked_to_stop = False

    def status(self) -> int | None:
        """Exit status or minus the signal; None while it runs. It stays a zombie, so that its ids stay its own."""
        return self._look(os.WNOHANG)

    def stop(self) -> None:
        """Ask the whole group to end. Safe in a signal handler."""
        self.asked_to_stop = True
        self._signal(self._stop_signal)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def finish(self) -> int:
        """Wait for the program and end what it leaves behind; its status, 0 when it ended by our signal.

        When it was asked to stop, the rest of its group (a shell ends before its children) is waited for, else killed.
        """
        status = self._look(0)
        assert status is not None
        if not self.asked_to_stop:
            self.kill()
        self._popen.wait()
        os.close(self.pidfd)
        reap(-self.pid)
        for _ in range(GENERATIONS):
            if not kill_adopted():
                break
        if self.asked_to_stop and status == -self._stop_signal:
            return 0
        return status if status >= 0 else 128 - status

    def _look(self, options: int) -> int | None:
        found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT | options)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # gone, or only zombies and another user's processes are left


def reap(which: int) -> None:
    """Wait for children: -1 is any, -N those of process group N."""
    while True:
        try:
            os.waitpid(which, 0)
        except ChildProcessError:
            return


def kill_adopted() -> bool:
    """Kill what has left the group (setsid, a daemon mode) and has become our child by the end of its parents."""
    try:
        with open("/proc/self/task/%d/children" % os.getpid()) as file:
            pids = [int(word) for word in file.read().split()]
    except OSError:
        return False  # a kernel without this file; the spawner sweeps the session
    for pid in pids:
        os.kill(pid, signal.SIGKILL)  # our own unreaped child: the id cannot be anybody else's
    if pids:
        reap(-1)
    return bool(pids)


def describe(status: int) -> str:
    """How it ended, in words."""
    return "ended with status %d" % status if status >= 0 else "was killed by signal %d" % -status
