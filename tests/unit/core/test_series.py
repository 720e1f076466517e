"""The last quarter of an hour: what its points say, and that they are bounded."""

from __future__ import annotations

import asyncio
import math
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from passenger.core.memory import Usage
from passenger.core.memory_shares import MemoryShares
from passenger.core.request_figures import Histogram, RequestFigures
from passenger.core.request_watch import RequestWatch
from passenger.core.series import COLUMNS, PATIENCE, POINTS, STEP, Ring, Series, quantile
from passenger.request.observed import ANSWERED, Seen
from tests.support.statuses import core, group, process


class Handler:
    """Knows who watches."""

    def __init__(self) -> None:
        self.observers: list[RequestFigures] = []

    def observe(self, observer: RequestFigures) -> None:
        self.observers.append(observer)

    def observe_no_more(self, observer: RequestFigures) -> None:
        self.observers.remove(observer)


class World:
    """A core without a core: time passes when the test says so."""

    def __init__(self, *apps: str) -> None:
        self.apps = list(apps)
        self.handler = Handler()
        self.timers: list[tuple[float, Any]] = []
        self.now = 0.0
        self.queue = 0
        self.loop = asyncio.new_event_loop()
        self.watch = RequestWatch(self.handler, lambda: self.apps)  # type: ignore[arg-type]
        memory = MemoryShares(now=lambda: self.now, look=lambda pids: {pid: Usage(pss=1000) for pid in pids})
        self.series = Series(loop=self, clock=self, pool=self, watch=self.watch, memory=memory)  # type: ignore[arg-type]

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Any) -> Any:
        self.timers.append((self.now + delay, callback))
        return self

    def create_task(self, work: Any) -> Any:
        self.loop.run_until_complete(work)
        return None

    def snapshot(self) -> Any:
        return core(*(group(name, queue=self.queue, processes=[process(sessions=1)]) for name in self.apps))["pool"]

    def pass_steps(self, count: int = 1) -> None:
        for _ in range(count):
            (timer,) = self.timers
            self.timers.clear()
            self.now = timer[0]
            timer[1]()

    def request(self, app: str, seconds: float, status: bytes = b"200") -> None:
        seen = Seen()
        seen.arrived = 100.0
        seen.app, seen.status, seen.ending, seen.done = app, status, ANSWERED, 100.0 + seconds
        for observer in self.handler.observers:
            observer(seen)

    def rows(self, app: str) -> list[dict[str, float | None]]:
        return [dict(zip(COLUMNS, row, strict=True)) for row in self.series.of(app)["rows"]]


@contextmanager
def world(*apps: str) -> Iterator[World]:
    made = World(*apps)
    try:
        yield made
    finally:
        made.loop.close()


def test_a_point_tells_of_the_time_since_the_one_before() -> None:
    """Rates by the second, percentiles of these five seconds only, and the pool as it is."""
    with world("blog") as house:
        assert house.series.latest() == {}
        assert house.series.of("blog") == {"first": 0, "rows": []}
        for _ in range(20):
            house.request("blog", 0.02)
        house.request("blog", 0.02, b"500")
        house.queue = 4
        house.pass_steps()
        house.pass_steps()
        first, second = house.rows("blog")
    assert (first["requests"], first["errors"], first["queue"], first["processes"], first["busy"]) == (
        4.2,
        0.2,
        4,
        1,
        1,
    )
    assert 0.01 <= (first["p50"] or 0) <= (first["p99"] or 0) <= 0.025
    assert (second["requests"], second["p50"]) == (0, None)
    assert second["pss"] == 1000


def test_it_is_bounded_in_time_and_memory() -> None:
    """Fifty applications for longer than it keeps: POINTS rows each, less than 2 MB."""
    names = [f"app{number}" for number in range(50)]
    with world(*names) as house:
        house.series.wanted()
        tracemalloc.start()
        try:
            for _ in range(POINTS + 20):
                house.series.wanted()
                house.pass_steps()
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size < 2_000_000
        assert house.series.points == POINTS + 20
        assert {house.series.of(name)["first"] for name in names} == {20}
        assert {len(house.series.of(name)["rows"]) for name in names} == {POINTS}
        assert len(house.series.of("app7", POINTS + 18)["rows"]) == 2
        assert house.series.latest().keys() == set(names)


def test_it_ends_when_nobody_asks_any_more() -> None:
    """Then no request is watched, no timer runs, and whoever comes later begins anew."""
    with world("blog") as house:
        house.series.wanted()
        assert house.handler.observers
        house.pass_steps(int(PATIENCE / STEP))
        assert (house.handler.observers, house.timers) == ([], [])
        assert house.series.points == 0


def test_applications_come_and_go() -> None:
    """One that is added has its own first number; one that is removed is forgotten."""
    with world("blog") as house:
        house.series.wanted()
        house.pass_steps(2)
        house.apps.append("shop")
        house.watch.follow()
        house.pass_steps()
        assert (house.series.of("blog")["first"], house.series.of("shop")["first"]) == (0, 2)
        house.apps.remove("blog")
        house.watch.follow()
        house.pass_steps()
        assert house.series.latest().keys() == {"shop"}


def test_figures_are_shared_until_the_last_user_drops_them() -> None:
    """Scrapes and series watch each request once."""
    with world("blog") as house:
        assert house.watch.take("metrics") is house.watch.take("series")
        assert len(house.handler.observers) == 1
        house.watch.drop("metrics")
        assert len(house.handler.observers) == 1
        house.watch.drop("series")
        house.watch.drop("series")
        assert not house.handler.observers


def test_the_verb_takes_what_it_is_asked() -> None:
    """Numbers of another core, or none at all, mean everything."""
    with world("blog", "shop") as house:
        house.series.wanted()
        house.pass_steps(3)
        ask = house.series.verb
        answer = house.loop.run_until_complete(ask({"app": "blog", "after": 2}))["series"]
        assert (answer["first"], len(answer["rows"]), answer["next"], answer["columns"]) == (2, 1, 3, list(COLUMNS))
        for after in (-1, 99, "x", None):
            answer = house.loop.run_until_complete(ask({"app": "shop", "after": after}))["series"]
            assert len(answer["rows"]) == 3
        assert house.loop.run_until_complete(ask({"app": "nobody"}))["series"]["rows"] == []
        assert house.loop.run_until_complete(ask({}))["series"]["latest"].keys() == {"blog", "shop"}


@pytest.mark.parametrize(
    ("counts", "share", "seconds"),
    [
        ([0, 0, 0], 0.5, math.nan),
        ([10, 0, 0], 0.5, 0.5),
        ([0, 10, 0], 0.5, 1.5),
        ([5, 5, 0], 0.5, 1.0),
        ([5, 5, 0], 0.75, 1.5),
        ([0, 0, 3], 0.99, 2.0),
    ],
)
def test_percentiles_are_those_of_prometheus(counts: list[int], share: float, seconds: float) -> None:
    found = quantile(Histogram((1.0, 2.0)), counts, share)
    assert found == seconds or (math.isnan(found) and math.isnan(seconds))


def test_a_ring_forgets_the_oldest() -> None:
    """And knows which those were."""
    ring = Ring(100)
    for number in range(POINTS + 3):
        ring.add([float(number)] * len(COLUMNS))
    assert (ring.first, ring.next) == (103, 100 + POINTS + 3)
    assert [row[0] for row in ring.since(0)][:2] == [3.0, 4.0]
    assert ring.since(ring.next) == []
