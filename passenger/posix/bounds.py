"""Our own limits and rights, as `passenger.config.bounds` asks for them."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

from passenger.config.bounds import RLIMITS, Bounds
from passenger.posix import cgroup, delegation

_SYS_NICE: Final = 23
_SYS_RESOURCE: Final = 24
"""Bits of CapEff in /proc/self/status."""


def own_bounds() -> Bounds:
    """What holds for this process now. Reads files of /proc and /sys."""
    capabilities = _capabilities()
    hard = {name: resource.getrlimit(getattr(resource, name))[1] for name in RLIMITS.values()}
    own = delegation.own_cgroup()
    return Bounds(
        hard=hard,
        may_raise=bool(capabilities >> _SYS_RESOURCE & 1),
        may_hurry=bool(capabilities >> _SYS_NICE & 1),
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        oom_score_adj=_oom_score_adj(),
        cpus=frozenset(os.sched_getaffinity(0)),
        memory=cgroup.visible_memory(),
        cgroup_problem=delegation.problem_of(own),
        cgroup_controllers=delegation.controllers_of(own),
    )


def _capabilities() -> int:
    lines = Path("/proc/self/status").read_text(errors="replace").splitlines()
    return int(next((line for line in lines if line.startswith("CapEff:")), "CapEff: 0").split()[1], 16)


def _oom_score_adj() -> int:
    return int(Path("/proc/self/oom_score_adj").read_text())
