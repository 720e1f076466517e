"""The last quarter of an hour of each application, a point every five seconds: for screens that show how it went.

Rules.
1. Bounded: POINTS rows of single-precision numbers per application (6.5 KB), and only of those that are configured.
2. It runs from the first question on (`wanted`), and for PATIENCE after the last one; then everything is forgotten.
3. A point costs one snapshot of the pool; memory is read for every MEMORY_EVERYth point, within the budget of
   `MemoryShares`. Percentiles come from the histograms of requests: what they say of a bucket is interpolated.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from passenger.clock import Clock
from passenger.core.memory_shares import MemoryShares
from passenger.core.metric_rows import pids_of
from passenger.core.request_figures import AppFigures, Histogram
from passenger.core.request_watch import RequestWatch
from passenger.pool.pool import Pool
from passenger.wire.status import GroupStatus, PoolStatus

STEP: Final = 5.0
POINTS: Final = 180
PATIENCE: Final = STEP * POINTS
MEMORY_EVERY: Final = 3
COLUMNS: Final = ("requests", "errors", "p50", "p95", "p99", "queue", "processes", "busy", "pss")
"""Requests and errors (5xx) a second; percentiles of the duration in seconds, None without requests; who waits;
enabled processes; places that are taken; bytes."""
_USER: Final = "series"


class Ring:
    """The last POINTS rows; rows are numbered from 0 on, over all rings alike."""

    __slots__ = ("_values", "first", "next")

    def __init__(self, number: int) -> None:
        self._values = array("f", bytes(4 * POINTS * len(COLUMNS)))
        self.first = self.next = number

    def add(self, row: Sequence[float]) -> None:
        at = self.next % POINTS * len(COLUMNS)
        self._values[at : at + len(COLUMNS)] = array("f", row)
        self.next += 1
        self.first = max(self.first, self.next - POINTS)

    def since(self, number: int) -> list[list[float | None]]:
        """The rows from that number on; None for what is unknown."""
        found = []
        for one in range(max(number, self.first), self.next):
            at = one % POINTS * len(COLUMNS)
            row = self._values[at : at + len(COLUMNS)]
            found.append([None if math.isnan(value) else round(value, 4) for value in row])
        return found


class Series:
    """Of all applications. `points` is the number of the next row."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, clock: Clock, pool: Pool, watch: RequestWatch, memory: MemoryShares
    ) -> None:
        self.points = 0
        self._loop = loop
        self._clock = clock
        self._pool = pool
        self._watch = watch
        self._memory = memory
        self._rings: dict[str, Ring] = {}
        self._before: dict[str, tuple[list[int], list[int]]] = {}
        self._pss: dict[str, float] = {}
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None

    def wanted(self) -> None:
        """Go on for PATIENCE from now."""
        self._until = self._loop.time() + PATIENCE
        if self._timer is None:
            self._look(self._pool.snapshot())  # so that the first point has something to be compared with
            self._timer = self._loop.call_later(STEP, self._tick)

    def apps(self) -> list[str]:
        """Applications that have rows."""
        return list(self._rings)

    def of(self, app: str, number: int = 0) -> dict[str, Any]:
        """The rows of an application from that number on; `first` is the number of the first of them."""
        self.wanted()
        ring = self._rings.get(app)
        if ring is None:
            return {"first": self.points, "rows": []}
        return {"first": max(number, ring.first), "rows": ring.since(number)}

    def latest(self) -> dict[str, list[float | None]]:
        """The last row of every application."""
        self.wanted()
        return {name: ring.since(ring.next - 1)[0] for name, ring in self._rings.items() if ring.next > ring.first}

    async def verb(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `series`: with `app` its rows, from `after` on (the `next` of the answer before); else the last of each.

        All rows of all applications at once would hold up the loop.
        """
        after, app = question.get("after", 0), question.get("app")
        number = after if isinstance(after, int) and 0 <= after <= self.points else 0
        told = {"latest": self.latest()} if app is None else self.of(str(app), number)
        head = {"step": STEP, "at": self._clock.wall(), "columns": list(COLUMNS), "next": self.points}
        return {"series": head | told}

    def _tick(self) -> None:
        self._timer = None
        if self._loop.time() >= self._until:
            self._watch.drop(_USER)
            self._rings, self._before, self._pss, self.points = {}, {}, {}, 0
            return
        self._timer = self._loop.call_later(STEP, self._tick)
        pool = self._pool.snapshot()
        if self.points % MEMORY_EVERY == 0 and self._reading is None:
            self._reading = self._loop.create_task(self._read_memory(pool))
        rows = self._look(pool)
        self._rings = {name: self._rings.get(name) or Ring(self.points) for name in rows}
        for name, row in rows.items():
            self._rings[name].add(row)
        self.points += 1

    def _look(self, pool: PoolStatus) -> dict[str, list[float]]:
        """A row for each application."""
        figures = self._watch.take(_USER).by_app
        groups = {group["name"]: group for group in pool["groups"] if group["name"] in figures}
        before, self._before = self._before, {}
        rows = {}
        for name, group in groups.items():
            now = self._before[name] = (list(figures[name].duration.counts), list(figures[name].statuses))
            rows[name] = [
                *_traffic(figures[name], now, before.get(name, now)),
                *_load(group),
                self._pss.get(name, math.nan),
            ]
        return rows

    async def _read_memory(self, pool: PoolStatus) -> None:
        try:
            usages = await self._memory.of(pids_of(pool))
        finally:
            self._reading = None
        self._pss = {}
        for group in pool["groups"]:
            pids = [process["pid"] for process in group["processes"]]
            pids += [group["preloader"]["pid"]] if group["preloader"] else []
            known = [usage.pss for pid in pids if (usage := usages.get(pid)) is not None and usage.pss is not None]
            self._pss[group["name"]] = float(sum(known)) if known else math.nan


def _traffic(
    figures: AppFigures, now: tuple[list[int], list[int]], before: tuple[list[int], list[int]]
) -> tuple[float, ...]:
    durations = [new - old for new, old in zip(now[0], before[0], strict=True)]
    statuses = [new - old for new, old in zip(now[1], before[1], strict=True)]
    if min(durations) < 0:  # the application was away in between, and begins anew
        durations, statuses = now
    percentiles = (quantile(figures.duration, durations, share) for share in (0.5, 0.95, 0.99))
    return sum(statuses) / STEP, statuses[4] / STEP, *percentiles


def _load(group: GroupStatus) -> tuple[float, float, float]:
    enabled = [process for process in group["processes"] if process["state"] == "enabled"]
    return group["queue"], len(enabled), sum(process["sessions"] for process in enabled)


def quantile(histogram: Histogram, counts: Sequence[int], share: float) -> float:
    """As Prometheus' histogram_quantile: within a bucket evenly spread; beyond the last bound, that bound."""
    total = sum(counts)
    if not total:
        return math.nan
    rank, below, lower = share * total, 0, 0.0
    for bound, count in zip(histogram.bounds, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * (rank - below) / count
        below += count
        lower = bound
    return histogram.bounds[-1]
