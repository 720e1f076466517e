"""Who is replaced and who is killed for the memory he takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from passenger.core.memory_guard import HARD_INTERVAL, SOFT_INTERVAL, MemoryGuard, MemoryLimits, Verdict, limits_of
from passenger.pool.pool import Pool
from passenger.posix.meter import Figure, Meter, Target
from tests.support.pool import LogLines, RecordingWaiter, StillClock, StillFactory, StillProcess, app, limits, turn

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("soft", "hard", "size", "is_leaving", "expected"),
    [
        (100, None, 100, False, ""),
        (100, None, 101, False, "replace"),
        (100, None, 101, True, ""),
        (100, 200, 150, False, "replace"),
        (100, 200, 201, False, "kill"),
        (100, 200, 201, True, "kill"),
        (None, 200, 150, False, ""),
        (None, 200, 201, False, "kill"),
    ],
)
def test_verdict(soft: int | None, hard: int | None, size: int, expected: Verdict, *, is_leaving: bool) -> None:
    """A limit is what a process may take; one that is on its way out only knows the hard one."""
    assert MemoryLimits(soft, hard).verdict(size, is_leaving=is_leaving) == expected


def test_shares_are_of_the_visible_memory() -> None:
    """`25%` of a cgroup of 2 GiB; without a figure for the whole a share limits nothing."""
    options = app(memory_limit="25%", hard_memory_limit="1GiB")
    assert limits_of(options, 2048 * MIB) == MemoryLimits(512 * MIB, 1024 * MIB)
    assert limits_of(options, None) == MemoryLimits(None, 1024 * MIB)
    assert limits_of(app(), 2048 * MIB) is None


class StillMeter(Meter):
    """Tells what the test says."""

    def __init__(self) -> None:
        super().__init__(swap=False)
        self.figures: dict[int, Figure | None] = {}
        self.targets: list[Target] = []

    def look(self, targets: Iterable[Target], now: float) -> dict[int, Figure | None]:
        self.targets = list(targets)
        return self.figures


class Loop(asyncio.SelectorEventLoop):
    """Timers fire when the test says so, and the thread is this one."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.due: list[Callable[[], None]] = []

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        if getattr(callback, "__name__", "") == "_look":
            self.waits.append(delay)
            self.due.append(callback)
            return asyncio.TimerHandle(0, callback, args, self)
        return super().call_later(delay, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        future.set_result(func(*args))
        return future


class World:
    def __init__(self, **keys: Any) -> None:
        self.loop = Loop()
        self.clock = StillClock()
        self.factory = StillFactory()
        self.lines = LogLines()
        self.meter = StillMeter()
        self.apps = {"blog": app(min_instances=1, max_instances=2, **keys)}
        self.pool = Pool(
            loop=self.loop,
            clock=self.clock,
            log=self.lines.log,
            factory=self.factory,
            limits=limits(),
            apps=self.apps,
            random=lambda: 0.5,
            check=True,
        )
        self.guard = MemoryGuard(
            loop=self.loop, clock=self.clock, pool=self.pool, log=self.lines.log, visible=1024 * MIB, meter=self.meter
        )
        self.pool.start()
        self.process = self.started()

    def started(self) -> StillProcess:
        turn(self.loop)
        process = self.factory.open_starts()[0].succeed()
        turn(self.loop)
        return process

    def look(self) -> None:
        self.loop.due.pop()()
        turn(self.loop)

    def takes(self, process: StillProcess, size: int, *, is_exact: bool = True) -> None:
        self.meter.figures = {process.pid: Figure(size, is_exact)}
        self.look()


@pytest.fixture(name="worlds")
def _worlds() -> Iterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.guard.close()
        if world.pool._timer is not None:
            world.pool._timer.cancel()
        for task in asyncio.all_tasks(world.loop):
            task.cancel()
        turn(world.loop)
        world.loop.close()
        world.lines.close()


def test_nothing_is_looked_at_without_limits(worlds: list[World]) -> None:
    """No timer at all; it begins with the first limit that a reload brings, and ends with the last."""
    world = World()
    worlds.append(world)
    world.guard.apply(world.apps)
    assert world.loop.waits == []
    world.guard.apply({"blog": app(memory_limit="100MiB")})
    assert world.loop.waits == [SOFT_INTERVAL]
    world.guard.apply({"blog": app()})
    world.look()
    assert world.loop.due == []
    world.guard.apply({"blog": app(hard_memory_limit="100MiB")})
    assert world.loop.waits[-1] == HARD_INTERVAL


def test_soft_replaces_first(worlds: list[World]) -> None:
    """The process serves until the other one is ready, and is not looked at any more without a hard limit."""
    world = World(memory_limit="100MiB")
    worlds.append(world)
    world.guard.apply(world.apps)
    world.takes(world.process, 101 * MIB)
    assert world.meter.targets == [Target(world.process.pid, 100 * MIB)]
    waiter = RecordingWaiter()
    world.pool.get("blog", waiter)
    assert waiter.granted().process.pid == world.process.pid
    world.look()
    assert world.meter.targets == [Target(world.process.pid, 100 * MIB)]  # none was asked for in the second look
    fresh = world.started()
    assert world.process.asked == []
    world.pool.release(waiter.granted())
    assert world.process.asked == ["stop"]
    (group,) = world.pool.snapshot()["groups"]
    assert [one["why"] for one in group["retirements"]] == ["memory_limit 100MiB: takes 101 MiB"]
    assert [process["pid"] for process in group["processes"] if process["state"] == "enabled"] == [fresh.pid]


def test_hard_kills_at_once_also_what_is_leaving(worlds: list[World]) -> None:
    """SIGKILL, whatever it runs; another one is started if it is needed."""
    world = World(memory_limit="100MiB", hard_memory_limit="200MiB")
    worlds.append(world)
    world.guard.apply(world.apps)
    world.takes(world.process, 101 * MIB)
    world.takes(world.process, 201 * MIB)
    assert world.meter.targets == [Target(world.process.pid, 200 * MIB)]
    assert world.process.asked[-1] == "KILL"
    assert any("hard_memory_limit 200MiB: takes 201 MiB" in line for line in world.lines.read())


def test_what_cannot_be_seen_is_said_once(worlds: list[World]) -> None:
    """A process that is gone at one look is nothing; one that stays unseen means that limits have no effect."""
    world = World(hard_memory_limit="200MiB")
    worlds.append(world)
    world.guard.apply(world.apps)
    world.meter.figures = {world.process.pid: None}
    world.look()
    assert not any("no effect" in line for line in world.lines.read())
    world.look()
    world.look()
    assert sum("no effect" in line for line in world.lines.read()) == 1
    world.takes(world.process, 199 * MIB, is_exact=False)
    world.takes(world.process, 199 * MIB, is_exact=False)
    assert sum("resident size" in line for line in world.lines.read()) == 1
    assert world.process.asked == []
