"""The wheel: coarse deadlines on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from passenger.request.wheel import NEVER, PERIOD, Rider, Wheel, ticks


class FakeTimer:
    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop

    def cancel(self) -> None:
        self.loop.callback = None


class FakeLoop:
    """Only `call_later`; the test makes the timer fire. Also the clock."""

    def __init__(self) -> None:
        self.time = 100.0
        self.at = 0.0
        self.callback: Callable[[], None] | None = None

    def monotonic(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeTimer:
        assert self.callback is None
        self.at = self.time + delay
        self.callback = callback
        return FakeTimer(self)

    def is_armed(self) -> bool:
        return self.callback is not None

    def advance(self, periods: int = 1) -> None:
        """Time passes; the timer fires once, as after a stall."""
        self.time += periods * PERIOD
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class Passenger:
    """A rider that records what happens to it."""

    def __init__(self, wheel: Wheel, at: int = NEVER) -> None:
        self.slot: dict[Rider, None] = {}
        self.at = at
        self.events: list[str] = []
        self.wheel = wheel
        self.leaves = False

    def aged(self) -> None:
        self.events.append("aged")

    def due_at(self) -> int:
        return self.at

    def overdue(self) -> None:
        self.events.append("overdue")
        self.wheel.leave(self)


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def wheel(loop: FakeLoop) -> Wheel:
    return Wheel(cast("asyncio.AbstractEventLoop", cast("Any", loop)), loop)


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 2), (PERIOD, 2), (1.0, 5), (60.0, 241)])
def test_ticks_never_come_early(seconds: float, expected: int) -> None:
    assert ticks(seconds) == expected


def test_timer_runs_only_while_somebody_rides(loop: FakeLoop, wheel: Wheel) -> None:
    """An idle core is not woken up."""
    assert not loop.is_armed()
    rider = Passenger(wheel)
    wheel.join(rider)
    assert loop.is_armed()
    wheel.leave(rider)
    wheel.leave(rider)
    loop.advance()
    assert not loop.is_armed()
    assert rider.events == []


def test_riders_age_once_and_are_due_in_their_tick(loop: FakeLoop, wheel: Wheel) -> None:
    rider = Passenger(wheel)
    wheel.join(rider)
    rider.at = wheel.now + 3
    loop.advance()
    assert rider.events == ["aged"]
    loop.advance()
    assert rider.events == ["aged"]
    loop.advance()
    assert rider.events == ["aged", "overdue"]
    loop.advance()
    assert not loop.is_armed()


def test_a_deadline_that_moved_away_is_looked_at_again(loop: FakeLoop, wheel: Wheel) -> None:
    rider = Passenger(wheel)
    wheel.join(rider)
    rider.at = wheel.now + 2
    loop.advance()
    rider.at += 2
    loop.advance(2)
    assert rider.events == ["aged"]
    loop.advance(2)
    assert rider.events == ["aged", "overdue"]


def test_a_deadline_that_came_closer_needs_a_move(loop: FakeLoop, wheel: Wheel) -> None:
    rider = Passenger(wheel)
    wheel.join(rider)
    loop.advance()
    rider.at = wheel.now + 1
    wheel.move(rider)
    loop.advance()
    assert rider.events == ["aged", "overdue"]


def test_a_stall_is_made_up_for(loop: FakeLoop, wheel: Wheel) -> None:
    """Every tick that was missed is looked at."""
    riders = [Passenger(wheel) for _ in range(5)]
    for number, rider in enumerate(riders):
        wheel.join(rider)
        rider.at = wheel.now + 2 + number
    loop.advance()
    loop.advance(100)
    assert all(rider.events == ["aged", "overdue"] for rider in riders)


@pytest.mark.parametrize("joined", [100.0, 100.1, 100.249, 100.2499])
@pytest.mark.parametrize("late", [0.0, 0.2, 0.4])
def test_no_deadline_comes_early(loop: FakeLoop, wheel: Wheel, joined: float, late: float) -> None:
    """However late the ticks are, and wherever between two of them it began."""
    loop.time = 99.9
    wheel.join(Passenger(wheel))
    loop.time = joined
    rider = Passenger(wheel)
    wheel.join(rider)
    rider.at = wheel.true_now() + ticks(1.0)
    while not rider.events or rider.events[-1] != "overdue":
        loop.time = max(loop.time, loop.at + late)
        loop.advance(0)
    assert 1.0 <= loop.time - joined <= 1.0 + PERIOD + 2 * late + 0.01


def test_the_timer_fires_where_a_tick_begins(loop: FakeLoop, wheel: Wheel) -> None:
    """Else `now` lies behind by up to a tick, and deadlines with it."""
    loop.time = 100.2
    wheel.join(Passenger(wheel))
    assert 100.25 < loop.at < 100.255
    loop.time = 100.6
    loop.advance(0)
    assert wheel.now == wheel.true_now()
    assert 100.75 < loop.at < 100.755


def test_leaving_during_a_tick_is_safe(loop: FakeLoop, wheel: Wheel) -> None:
    """An overdue rider takes another one with it."""
    first, second = Passenger(wheel), Passenger(wheel)

    class Killer(Passenger):
        def overdue(self) -> None:
            super().overdue()
            for rider in (first, second):
                self.wheel.leave(rider)

    killers = [Killer(wheel), Killer(wheel)]
    for rider in (first, killers[0], second, killers[1]):
        wheel.join(rider)
        rider.at = wheel.now + 2
    loop.advance()
    loop.advance()
    assert [killer.events for killer in killers] == [["aged", "overdue"]] * 2
    assert wheel.riders() == []
    loop.advance()
    assert not loop.is_armed()
