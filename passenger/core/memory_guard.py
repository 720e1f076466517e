"""Holds processes to `memory_limit` and `hard_memory_limit`: looks at them off the loop, replaces or kills.

Rules.
1. Nothing runs, and nothing is imported, while no application has such a limit.
2. Above `memory_limit` a process is replaced: another one is ready before it goes, and it finishes its requests.
   Above `hard_memory_limit` it is killed. Processes that are on their way out are only held to the hard limit.
3. A kill is due within 2 s: with hard limits every process is looked at once a second, else every 2.5 s.
4. Without a figure there is no verdict: that is said once, and nothing else changes (fault matrix D12).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Literal

from passenger.clock import Clock
from passenger.config import amounts
from passenger.config.model import App
from passenger.config.units import rough_size_text
from passenger.lazy_dataclass import dataclass
from passenger.log import Log
from passenger.pool.model import Process
from passenger.pool.pool import Pool
from passenger.posix.meter import Figure, Meter, Target

HARD_INTERVAL: Final = 1.0
SOFT_INTERVAL: Final = 2.5
"""Seconds between two looks: two of them are the 5 s in which a soft limit takes effect."""
MIB: Final = 1024 * 1024

Verdict = Literal["", "replace", "kill"]


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Bytes; None = no limit."""

    soft: int | None
    hard: int | None

    def least(self, *, is_leaving: bool) -> int | None:
        """The lowest limit that still means something to a process."""
        limits = [self.hard] if is_leaving else [self.soft, self.hard]
        return min((limit for limit in limits if limit is not None), default=None)

    def verdict(self, size: int, *, is_leaving: bool) -> Verdict:
        """What is to be done about a process of that size. A limit is what it may take, so more is too much."""
        if self.hard is not None and size > self.hard:
            return "kill"
        return "replace" if self.soft is not None and size > self.soft and not is_leaving else ""


def limits_of(app: App, visible: int | None) -> MemoryLimits | None:
    """The memory limits of an application; `visible`: bytes of which shares are shares."""
    limits = MemoryLimits(
        soft=amounts.memory(app.memory_limit, visible), hard=amounts.memory(app.hard_memory_limit, visible)
    )
    return None if limits == MemoryLimits(None, None) else limits


class MemoryGuard:
    """Looks at the processes of applications that have a memory limit, as long as there are such applications."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, clock: Clock, pool: Pool, log: Log, visible: int | None, meter: Meter
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._pool = pool
        self._log = log
        self._visible = visible
        self._meter = meter
        self._limits: dict[str, MemoryLimits] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_looking = False
        self._is_closed = False
        self._unseen: set[int] = set()
        self._told: set[str] = set()

    def apply(self, apps: Mapping[str, App]) -> None:
        """Take over new limits."""
        found = {name: limits_of(app, self._visible) for name, app in apps.items()}
        self._limits = {name: limits for name, limits in found.items() if limits is not None}
        wanted = any(app.memory_limit or app.hard_memory_limit for app in apps.values())
        if wanted and self._visible is None:
            self._tell("shares of the memory have no effect: nothing tells how much memory there is")
        self._schedule()

    def close(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def limits(self, app: str) -> MemoryLimits | None:
        """What an application is held to."""
        return self._limits.get(app)

    def _schedule(self) -> None:
        if self._limits and self._timer is None and not self._is_looking and not self._is_closed:
            interval = HARD_INTERVAL if any(one.hard for one in self._limits.values()) else SOFT_INTERVAL
            self._timer = self._loop.call_later(interval, self._look)

    def _look(self) -> None:
        self._timer = None
        targets = [
            Target(process.pid, least)
            for name, limits in self._limits.items()
            for process in self._pool.processes_of(name)
            if (least := limits.least(is_leaving=_is_leaving(process))) is not None
        ]
        if not targets:
            self._schedule()
            return
        self._is_looking = True
        future = self._loop.run_in_executor(None, self._meter.look, targets, self._clock.monotonic())
        future.add_done_callback(self._looked)

    def _looked(self, future: asyncio.Future[dict[int, Figure | None]]) -> None:
        self._is_looking = False
        if self._is_closed or future.cancelled():
            return
        if (error := future.exception()) is not None:  # the next look may fare better
            self._log.error("memory cannot be looked at", error=f"{type(error).__name__}: {error}")
        else:
            self._judge(future.result())
        self._schedule()

    def _judge(self, figures: Mapping[int, Figure | None]) -> None:
        unseen = {pid for pid, figure in figures.items() if figure is None}
        if unseen & self._unseen:  # one that only ended meanwhile is not asked for twice
            self._tell("memory limits have no effect: /proc does not show the processes (is it mounted with hidepid?)")
        self._unseen = unseen
        for pid, figure in figures.items():
            process = self._pool.process(pid)
            if figure is not None and process is not None:
                self._act(process, figure)

    def _act(self, process: Process, figure: Figure) -> None:
        limits = self._limits.get(process.group.name)
        if limits is None:
            return
        if not figure.is_exact:
            self._tell("smaps_rollup cannot be read: processes are held to their limits by their resident size")
        takes = f"takes {round(figure.size / MIB)} MiB"
        match limits.verdict(figure.size, is_leaving=_is_leaving(process)):
            case "kill":
                self._pool.condemn(process, f"hard_memory_limit {_shown(limits.hard)}: {takes}")
            case "replace":
                self._pool.renew(process, f"memory_limit {_shown(limits.soft)}: {takes}")

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._log.warn(what)


def _is_leaving(process: Process) -> bool:
    return not process.takes_requests() or process in process.group.outlived


def _shown(limit: int | None) -> str:
    return "" if limit is None else rough_size_text(limit)
