"""Limits that a process gets before its loader runs: what its own user can set, and what only we can.

Rules.
1. What lies within our own limits is set by SpawnPreparer, as the application's user: that needs no right at all.
2. What lies beyond them, and the cgroup, is set by us on a child that waits, before anything of the application runs.
3. A limit that cannot be set is a SpawnFailure: a process never starts with fewer limits than were asked for.
4. Forked processes have those of their preloader.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from passenger.config.bounds import RLIMITS, Bounds, beyond, rlimits, wants_cgroup
from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.posix.delegation import AppCgroups
from passenger.spawn.failure import SpawnFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one process; None and nothing = leave it as it is."""

    rlimits: Mapping[str, int] = field(default_factory=dict)
    """The kernel's name -> value, soft and hard."""
    nice: int | None = None
    oom_score_adj: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnLimits:
    """What SpawnPreparer sets (`own`), what it needs us for (`ours`)."""

    own: Limits = Limits()
    cpu_affinity: tuple[int, ...] = ()
    ours: Limits = Limits()
    has_cgroup: bool = False

    @property
    def needs_help(self) -> bool:
        return self.has_cgroup or self.ours != Limits()

    def own_part(self, *, waits: bool) -> dict[str, Any]:
        """As SpawnPreparer reads it."""
        return {
            "wait": waits,
            "rlimits": dict(self.own.rlimits),
            "nice": self.own.nice,
            "oom_score_adj": self.own.oom_score_adj,
            "cpu_affinity": list(self.cpu_affinity),
        }


def limits_for(app: App, bounds: Bounds) -> SpawnLimits:
    """Decide who sets which limit."""
    ours = {found.keys[-1] for found in beyond(app, bounds)}
    wanted = rlimits(app)
    high = {RLIMITS[key] for key in ours if key in RLIMITS}
    own = Limits(
        rlimits={name: value for name, value in wanted.items() if name not in high},
        nice=None if "nice" in ours else app.nice,
        oom_score_adj=None if "oom_score_adj" in ours else app.oom_score_adj,
    )
    helped = Limits(
        rlimits={name: value for name, value in wanted.items() if name in high},
        nice=app.nice if "nice" in ours else None,
        oom_score_adj=app.oom_score_adj if "oom_score_adj" in ours else None,
    )
    return SpawnLimits(own=own, cpu_affinity=app.cpu_affinity, ours=helped, has_cgroup=wants_cgroup(app))


def set_on(pid: int, limits: SpawnLimits, name: str, cgroups: AppCgroups | None) -> None:
    """Set what only we may set on an unreaped child of ours that waits. Raises SpawnFailure."""
    for resource_name, value in limits.ours.rlimits.items():
        number = getattr(resource, resource_name)
        _set(f"rlimits: {resource_name}", value, resource.prlimit, pid, number, (value, value))
    if (nice := limits.ours.nice) is not None:
        _set("nice", nice, os.setpriority, os.PRIO_PROCESS, pid, nice)
    if (score := limits.ours.oom_score_adj) is not None:
        _set("oom_score_adj", score, _write_oom_score, pid, score)
    if limits.has_cgroup:
        if cgroups is None or cgroups.path_of(name) is None:
            raise SpawnFailure(
                "cgroup-missing",
                "it has a `cgroup` table, and no cgroup could be made for it",
                hint="the log of the core tells why; a cgroup that was added by a reload may need a restart of the "
                "instance, because the core has given up root",
            )
        _set("cgroup", cgroups.path_of(name) or "", cgroups.join, name, pid)


def _set(what: str, value: object, act: Callable[..., object], *arguments: object) -> None:
    try:
        act(*arguments)
    except (OSError, ValueError) as error:
        raise SpawnFailure(
            "limit-refused",
            f"{what} cannot be set to {value}: {error}",
            hint="choose a value within the limits of Passenger itself, raise those, or start Passenger as root; a "
            "limit that a reload added may need a restart of the instance, because the core has given up root",
        ) from error


def _write_oom_score(pid: int, score: int) -> None:
    Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))
