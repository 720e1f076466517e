"""prctl(2): the few process attributes that Python has no call for.

Rules.
1. Numbers are from `linux/prctl.h`.
2. A refused call raises OSError; callers say whether they can live without.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_CHILD_SUBREAPER: Final = 36


def become_subreaper() -> None:
    """Orphaned descendants become children of this process instead of PID 1's."""
    _prctl(_libc(), PR_SET_CHILD_SUBREAPER, 1)


def forbid_dumps() -> None:
    """No core dump and no ptrace by other processes of the same user: this process holds secrets."""
    _prctl(_libc(), PR_SET_DUMPABLE, 0)


def dies_with_parent(signum: int = signal.SIGTERM) -> Callable[[], None]:
    """A function to run in a forked child before exec: the kernel sends `signum` when the parent dies.

    Everything is looked up before the fork; the child makes two system calls. A parent that died in between
    is noticed by the changed parent pid.
    """
    libc = _libc()
    parent = os.getpid()

    def arrange() -> None:
        _prctl(libc, PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:
            os.kill(os.getpid(), signum)

    return arrange


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(libc: ctypes.CDLL, option: int, value: int) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
