"""Costs that must not grow: counted in bytecode lines run, not in time, so that a busy machine changes nothing."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from tests.support.pool import RecordingWaiter, app, limits
from tests.support.pooldriver import PoolDriver


def lines_run(work: Callable[[], object]) -> int:
    """Lines of Python that `work` runs."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.fixture
def drivers() -> Iterator[list[PoolDriver]]:
    made: list[PoolDriver] = []
    yield made
    for driver in made:
        driver.close()


def crowded(drivers: list[PoolDriver], *, apps: int, processes: int, queue: int) -> PoolDriver:
    """Application x0 with this many idle processes among this many applications, or all busy with a queue."""
    names = {f"x{number}": app(max_request_queue_size=0, min_instances=processes) for number in range(apps)}
    driver = PoolDriver(1, names, limits(apps * processes, parallel=apps * processes, idle=0))
    drivers.append(driver)
    driver.pool.start()
    driver.settle()
    while driver._start(0) is not None:
        driver.spawn_succeeds(0)
    driver.pool._check = False
    if queue:
        for _ in range(processes + queue):
            waiter = RecordingWaiter()
            waiter.on_answer = lambda waiter: driver.sessions.append(waiter.granted())
            driver.pool.get("x0", waiter)
    return driver


def one_request(driver: PoolDriver) -> None:
    waiter = RecordingWaiter()
    driver.pool.get("x0", waiter)
    driver.pool.release(waiter.granted())


def test_a_request_costs_the_same_among_many_processes_and_applications(drivers: list[PoolDriver]) -> None:
    few = crowded(drivers, apps=1, processes=1, queue=0)
    many = crowded(drivers, apps=60, processes=5, queue=0)
    assert lines_run(lambda: one_request(many)) <= lines_run(lambda: one_request(few)) + 5


def cost_behind(driver: PoolDriver) -> tuple[int, int, int]:
    """Lines for 200 requests that queue up, for their leaving, and for two sessions handed on."""
    pool = driver.pool
    waiters = [RecordingWaiter() for _ in range(200)]
    sessions = [driver.sessions.pop(0) for _ in range(2)]

    def each(call: Callable[[Any], None], things: list[Any]) -> int:
        def call_all() -> None:
            for thing in things:
                call(thing)

        return lines_run(call_all)

    arrive = each(lambda waiter: pool.get("x0", waiter), waiters)
    return arrive, each(pool.forget, waiters), each(pool.release, sessions)


def test_queueing_leaving_and_serving_cost_the_same_behind_ten_thousand(drivers: list[PoolDriver]) -> None:
    short = cost_behind(crowded(drivers, apps=3, processes=2, queue=10))
    long = cost_behind(crowded(drivers, apps=3, processes=2, queue=10_000))
    for few, many in zip(short, long, strict=True):
        assert many <= few * 1.1 + 10


def test_ten_thousand_who_wait_are_served_in_order_by_two_processes(drivers: list[PoolDriver]) -> None:
    driver = crowded(drivers, apps=1, processes=2, queue=0)
    order: list[int] = []
    waiters = [RecordingWaiter(str(number)) for number in range(10_000)]
    leavers = set(random.Random(3).sample(range(2, 10_000), 1_000))

    def served(waiter: RecordingWaiter) -> None:
        order.append(int(waiter.name))
        driver.sessions.append(waiter.granted())

    for waiter in waiters:
        waiter.on_answer = served
        driver.pool.get("x0", waiter)
    for number in leavers:
        driver.pool.forget(waiters[number])
    while driver.sessions:
        driver.pool.release(driver.sessions.pop(0))
    assert order == [number for number in range(10_000) if number not in leavers]


def test_a_place_passed_on_in_a_queue_needs_no_decision(
    drivers: list[PoolDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steady state of a busy application: whoever queues and whoever is served changes nothing else."""
    driver = crowded(drivers, apps=3, processes=2, queue=5)
    driver.pool._check = True
    monkeypatch.setattr(type(driver.pool), "_step", lambda *_: pytest.fail("something was decided"))
    waiters = [RecordingWaiter() for _ in range(5)]
    for waiter in waiters:
        waiter.on_answer = lambda waiter: driver.sessions.append(waiter.granted())
        driver.pool.get("x0", waiter)
    for _ in range(9):
        driver.pool.release(driver.sessions.pop(0))
    assert [waiter.answers for waiter in waiters] == [1, 1, 1, 1, 0]
    monkeypatch.undo()


def test_ten_thousand_who_give_back_at_once_are_served_without_recursion(drivers: list[PoolDriver]) -> None:
    driver = crowded(drivers, apps=1, processes=1, queue=0)
    first = RecordingWaiter()
    driver.pool.get("x0", first)
    waiters = [RecordingWaiter() for _ in range(10_000)]
    for waiter in waiters:
        waiter.on_answer = lambda waiter: driver.pool.release(waiter.granted())
        driver.pool.get("x0", waiter)
    driver.pool.release(first.granted())
    assert all(waiter.answers == 1 for waiter in waiters)


def test_a_waiter_that_breaks_in_a_queue_does_not_keep_the_place(drivers: list[PoolDriver]) -> None:
    driver = crowded(drivers, apps=1, processes=1, queue=0)
    driver.pool._check = True
    first = RecordingWaiter()
    driver.pool.get("x0", first)

    def broken(waiter: RecordingWaiter) -> None:
        raise RuntimeError("a defect")

    waiters = [RecordingWaiter() for _ in range(4)]
    waiters[0].on_answer = waiters[1].on_answer = broken
    for waiter in waiters:
        driver.pool.get("x0", waiter)
    driver.pool.release(first.granted())
    assert [waiter.answers for waiter in waiters] == [1, 1, 1, 0]
