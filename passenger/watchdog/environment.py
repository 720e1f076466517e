"""What surrounds the children: environment, umask, OOM score. Read once at the start of the watchdog."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from passenger.instance.variables import EARLY_CORE_VARIABLE, EARLY_FD_VARIABLE, LAUNCH_FD_VARIABLE, PLAN_FD_VARIABLE
from passenger.posix.activation import VARIABLES

PRIVATE: Final = (PLAN_FD_VARIABLE, LAUNCH_FD_VARIABLE, EARLY_FD_VARIABLE, EARLY_CORE_VARIABLE, *VARIABLES)
"""Variables that mean this process, not its children."""

PROTECTED_SCORE: Final = -900
"""oom_score_adj of a watchdog that may lower it: when memory runs out, an application goes first."""


class Surroundings(NamedTuple):
    """What children are started with."""

    child_environ: dict[str, str]
    umask: int
    oom_score: str
    early_core: str = ""
    """Note about a core that waits already (`watchdog.early_core`)."""

    def restore_oom_score(self, pid: int) -> None:
        """A child gets the score that we were started with, never the watchdog's own (fault matrix D7)."""
        with contextlib.suppress(OSError):  # gone already
            _write_score(pid, self.oom_score)


def surroundings(environ: Mapping[str, str]) -> Surroundings:
    """Take stock; from now on everything this process makes is private unless it says otherwise."""
    previous = os.umask(0o077)
    return Surroundings(
        child_environ={name: value for name, value in environ.items() if name not in PRIVATE},
        umask=previous,
        oom_score=_protect(),
        early_core=environ.get(EARLY_CORE_VARIABLE, ""),
    )


def _protect() -> str:
    try:
        with open("/proc/self/oom_score_adj", encoding="ascii") as stream:
            score = stream.read().strip()
    except OSError:
        return "0"
    if int(score) > PROTECTED_SCORE:
        with contextlib.suppress(OSError):  # needs CAP_SYS_RESOURCE
            _write_score(os.getpid(), str(PROTECTED_SCORE))
    return score


def _write_score(pid: int, score: str) -> None:
    with open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as stream:
        stream.write(score)
