"""Limits on processes as the core keeps them: cgroups of applications, and the memory of processes.

Rules.
1. A configuration is taken over whole or not at all: what can be refused (cgroups) comes first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from passenger.config.model import App
from passenger.core.memory_guard import MemoryGuard
from passenger.posix import descendants
from passenger.posix.delegation import AppCgroups
from passenger.wire.status import LimitStatus


class ProcessLimits:
    """What holds processes to their limits after their start."""

    def __init__(self, cgroups: AppCgroups, guard: MemoryGuard) -> None:
        self._cgroups = cgroups
        self._guard = guard

    def apply(self, apps: Mapping[str, App]) -> None:
        """Take over new limits. Raises HostError, and then has changed nothing that runs."""
        self._cgroups.apply(apps)
        self._guard.apply(apps)

    def close(self) -> None:
        """Everything has ended."""
        self._guard.close()
        self._cgroups.remove()

    def report(self, name: str, app: App) -> LimitStatus:
        """The limits of one application for `status`."""
        memory = self._guard.limits(name)
        return {
            "max_requests": app.max_requests or None,
            "max_worker_age": app.max_worker_age or None,
            "memory_limit": memory.soft if memory else None,
            "hard_memory_limit": memory.hard if memory else None,
            "cgroup": self._cgroups.path_of(name),
            "cgroup_memory": self._cgroups.memory_of(name),
        }


def is_of_instance(pid: int) -> bool:
    """Whether a process is the watchdog, whose child we are, or descends from it."""
    watchdog = os.getppid()
    while pid > 1 and pid != watchdog:
        facts = descendants.facts_of(pid)
        if facts is None:
            return True  # it has ended: nobody will miss it
        pid = facts.parent
    return pid == watchdog
