"""Limits on processes as the core keeps them: cgroups of applications, and the memory of processes.

Rules.
1. A configuration is taken over whole or not at all: what can be refused (cgroups) comes first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from passenger.config.model import App
from passenger.core.memory_guard import MemoryGuard
from passenger.log import Log
from passenger.pool.pool import Pool
from passenger.posix import descendants
from passenger.posix.delegation import AppCgroups
from passenger.wire.status import LimitStatus


class ProcessLimits:
    """What holds processes to their limits after their start."""

    def __init__(self, cgroups: AppCgroups, guard: MemoryGuard, *, pool: Pool, log: Log) -> None:
        self._cgroups = cgroups
        self._guard = guard
        self._pool = pool
        self._log = log

    def prepare(self, apps: Mapping[str, App]) -> None:
        """Make what may be refused. Raises HostError, and then nothing that runs has another limit."""
        self._cgroups.apply(apps)

    def follow(self, apps: Mapping[str, App]) -> None:
        """The configuration was taken over. Processes that run without the cgroup of their application join it."""
        self._guard.apply(apps)
        for name in self._cgroups.take_new():
            for process in self._pool.processes_of(name):
                try:
                    self._cgroups.join(name, process.pid)
                except OSError as error:  # it ends, or has ended
                    self._log.warn("process not in its cgroup", app=name, pid=process.pid, reason=str(error))

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
