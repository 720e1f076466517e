"""What this process may do about the limits of others, and which limits of an application go beyond that. Pure.

Rules.
1. Whoever may not raise a limit may still lower it: only what lies beyond our own limits needs a right.
2. What is not known (`Bounds()`) forbids nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields
from typing import Final

from passenger.config import amounts
from passenger.config.app_limits import AppLimits
from passenger.lazy_dataclass import dataclass

RLIMITS: Final[Mapping[str, str]] = {
    "nofile": "RLIMIT_NOFILE",
    "nproc": "RLIMIT_NPROC",
    "core": "RLIMIT_CORE",
    "address_space": "RLIMIT_AS",
    "data": "RLIMIT_DATA",
    "stack": "RLIMIT_STACK",
    "fsize": "RLIMIT_FSIZE",
    "memlock": "RLIMIT_MEMLOCK",
    "cpu": "RLIMIT_CPU",
}
"""Key -> the kernel's name, which is also Python's."""

CGROUP_CONTROLLERS: Final[Mapping[str, str]] = {
    "memory_max": "memory",
    "memory_high": "memory",
    "cpu_max": "cpu",
    "pids_max": "pids",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Our own limits and rights."""

    hard: Mapping[str, int] = field(default_factory=dict)
    """The kernel's name of a limit -> our hard limit of it; UNLIMITED where there is none."""
    may_raise: bool = True
    """Hard limits and OOM scores (CAP_SYS_RESOURCE)."""
    may_hurry: bool = True
    """Lower nice values (CAP_SYS_NICE)."""
    nice: int = -20
    oom_score_adj: int = -1000
    cpus: frozenset[int] | None = None
    memory: int | None = None
    """Bytes that everything together may use; None = unknown."""
    cgroup_problem: str = ""
    """Why there can be no cgroups for applications; "" when there can."""
    cgroup_controllers: frozenset[str] = frozenset(CGROUP_CONTROLLERS.values())


@dataclass(frozen=True, slots=True)
class Beyond:
    """A limit that goes beyond ours; whether that is allowed is another question."""

    keys: tuple[str, ...]
    own: str
    """Our own limit, in words."""


def rlimits(app: AppLimits) -> dict[str, int]:
    """The kernel's name -> value, for the limits that are set."""
    table = app.rlimits
    found = {}
    for declared in fields(table):
        value = getattr(table, declared.name)
        if value is None:
            continue
        if isinstance(value, float):
            number = math.ceil(value)
        elif declared.name in {"nofile", "nproc"}:
            number = amounts.count(value)
        else:
            number = amounts.room(value)
        found[RLIMITS[declared.name]] = number
    return found


def wants_cgroup(app: AppLimits) -> bool:
    return bool(controllers(app))


def controllers(app: AppLimits) -> set[str]:
    """The controllers of cgroup v2 that an application's table needs."""
    return {controller for key, controller in CGROUP_CONTROLLERS.items() if getattr(app.cgroup, key) is not None}


def beyond(app: AppLimits, bounds: Bounds) -> Iterator[Beyond]:
    """Every limit of an application that only somebody with a special right can set."""
    wanted = rlimits(app)
    for key, name in RLIMITS.items():
        hard = bounds.hard.get(name, amounts.UNLIMITED)
        if name in wanted and is_above(wanted[name], hard):
            yield Beyond(("rlimits", key), f"the hard limit is {hard}")
    if app.nice is not None and app.nice < bounds.nice:
        yield Beyond(("nice",), f"Passenger runs with {bounds.nice}")
    if app.oom_score_adj is not None and app.oom_score_adj < bounds.oom_score_adj:
        yield Beyond(("oom_score_adj",), f"Passenger runs with {bounds.oom_score_adj}")


def is_above(value: int, hard: int) -> bool:
    """Whether a resource limit is higher than another."""
    return hard != amounts.UNLIMITED and (value == amounts.UNLIMITED or value > hard)


def needs_root(app: AppLimits, bounds: Callable[[], Bounds]) -> bool:
    """Whether the core must keep root to set the limits of this application. `bounds` is asked only if it has any."""
    if wants_cgroup(app):
        return True
    is_limited = bool(rlimits(app)) or app.nice is not None or app.oom_score_adj is not None
    return is_limited and next(beyond(app, bounds()), None) is not None
