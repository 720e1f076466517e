"""Requests that belong to one process, and sessions that take no place: the decisions, and the shell around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from passenger.pool import events as ev
from passenger.pool.session import RefusalReason
from tests.support.pool import RecordingWaiter, app, limits
from tests.support.pooldriver import PoolDriver
from tests.support.poolworld import World


def pin(world: World, process: str, *waiters: str) -> list[str]:
    words = []
    for name in waiters:
        waiter = world.waiters[name] = RecordingWaiter(name)
        words += world.do(ev.Pinned(world.processes[process], waiter))
    return words


def busy(**keys: Any) -> World:
    """p1 and p2, each with a session: w1 has p2, w2 has p1."""
    world = World(a=app(max_instances=2, **keys), size=2).with_ready("a", 2)
    assert world.arrive("a", "w1", "w2") == ["grant w1 p2", "grant w2 p1"]
    return world


def test_waits_for_its_process_while_another_is_free() -> None:
    world = busy()
    assert pin(world, "p1", "mine") == []
    assert world.release("w1") == []
    assert world.arrive("a", "other") == ["grant other p2"]
    assert world.release("w2") == ["grant mine p1"]


def test_a_place_goes_by_turns_to_the_two_queues() -> None:
    world = busy()
    world.arrive("a", "q1", "q2")
    pin(world, "p1", "m1", "m2")
    assert world.release("w2") == ["grant m1 p1"]
    assert world.release("m1") == ["grant q1 p1"]
    assert world.release("q1") == ["grant m2 p1"]
    assert world.release("m2") == ["grant q2 p1"]


@pytest.mark.parametrize("end", ["withdraw", "exit", "unreachable"])
def test_any_process_serves_it_when_its_own_leaves(end: str) -> None:
    world = busy()
    world.release("w1")
    pin(world, "p1", "mine")
    told = {
        "withdraw": lambda: world.withdraw("p1"),
        "exit": lambda: world.exit("p1"),
        "unreachable": lambda: world.unreachable("w2"),
    }[end]()
    assert "grant mine p2" in told


def test_it_counts_for_the_queue_and_starts_nothing() -> None:
    world = World(a=app(max_request_queue_size=2)).with_ready("a", 1)
    world.arrive("a", "w1")
    assert pin(world, "p1", "m1", "m2", "m3") == ["refuse m3 QUEUE_FULL 5s"]
    assert world.depart("m1") == []
    assert world.arrive("a", "q1") == ["spawn a"]
    assert world.arrive("a", "q2") == ["refuse q2 QUEUE_FULL 5s"]


def test_a_stop_serves_who_waits_for_one_process() -> None:
    world = busy()
    pin(world, "p1", "mine")
    assert world.stop() == []
    assert world.release("w2")[0] == "grant mine p1"
    assert "stop p1" in world.release("mine")


def test_the_end_of_patience_refuses_it() -> None:
    world = busy()
    pin(world, "p1", "mine")
    assert "refuse mine STOPPING 5s" in world.give_up()


def test_an_old_process_is_followed_until_it_is_replaced() -> None:
    world = World(a=app(max_instances=1), size=1).with_ready("a", 1)
    world.arrive("a", "w1")
    world.restart("a")
    pin(world, "p1", "mine")
    assert world.ready() == ["watch p2", "close g1", "retire p1: replaced", "grant mine p2", "restart of a done"]


# The shell


@pytest.fixture(name="house")
def _house() -> Iterator[PoolDriver]:
    """Application a with two processes of one place."""
    driver = PoolDriver(1, {"a": app(min_instances=2), "b": app(min_instances=1)}, limits())
    driver.pool.start()
    driver.settle()
    for _ in range(3):
        driver.spawn_succeeds(0)
    yield driver
    driver.close()


def ask(house: PoolDriver, how: str, name: str, *wanted: str) -> RecordingWaiter:
    waiter = RecordingWaiter(name)
    getattr(house.pool, how)(name, waiter, wanted)
    house.settle()
    return waiter


def test_a_route_means_a_process_of_its_own_application_only(house: PoolDriver) -> None:
    first, second = house.pool.processes_of("a")
    other = house.pool.processes_of("b")[0]
    assert ask(house, "get_from", "a", second.route).granted().process is second
    assert ask(house, "get_from", "a", first.route).granted().process is first
    assert not ask(house, "get_from", "a", first.route).answers
    assert ask(house, "get_from", "b", "?", first.route).granted().process is other
    assert ask(house, "get_from", "c", first.route).refused().reason is RefusalReason.UNKNOWN_APP


def test_routes_differ_and_cannot_be_guessed(house: PoolDriver) -> None:
    routes = {process.route for name in "ab" for process in house.pool.processes_of(name)}
    assert len(routes) == 3
    assert min(map(len, routes)) >= 22


def test_sessions_beside_take_no_place_and_go_round(house: PoolDriver) -> None:
    busy = [ask(house, "get_from", "a", one.route).granted() for one in house.pool.processes_of("a")]
    beside = [ask(house, "get_beside", "a").granted() for _ in range(4)]
    first, second = house.pool.processes_of("a")
    assert (first.beside, second.beside) == (2, 2)
    assert ask(house, "get_beside", "a", first.route).granted().process is first
    for session in (*busy, *beside):
        house.pool.release(session)
        house.pool.release(session)
    house.settle()
    assert (first.sessions, first.beside, first.processed) == (0, 1, 3)


def test_a_process_with_sessions_beside_is_neither_idle_nor_ended(house: PoolDriver) -> None:
    session = ask(house, "get_beside", "b").granted()
    process = session.process
    house.pool.withdraw(process, "told to")
    house.settle()
    assert process.state.value == "draining"
    house.pool.release(session)
    house.settle()
    assert process.state.value == "stopping"


def test_a_process_that_cannot_be_reached_for_a_session_beside_is_replaced(house: PoolDriver) -> None:
    session = ask(house, "get_beside", "b").granted()
    house.pool.connection_failed(session, "refused")
    house.pool.connection_failed(session, "refused")
    house.settle()
    assert session.process.beside == 0
    assert session.process.state.value == "stopping"


def test_idle_processes_end_but_not_those_with_sessions_beside(house: PoolDriver) -> None:
    house.apply({"a": app(min_instances=0), "b": app(min_instances=1)}, limits())
    session = ask(house, "get_beside", "a").granted()
    house.time_passes(301)
    house.time_passes(1)
    assert session.process.takes_requests()
    assert house.ledger.groups["a"].enabled == 1
    house.pool.release(session)
    house.time_passes(301)
    assert house.ledger.groups["a"].enabled == 0


def test_who_waited_for_a_process_to_start_steps_aside_and_leaves_its_place() -> None:
    driver = PoolDriver(1, {"a": app()}, limits())
    waiter = ask(driver, "get_beside", "a")
    assert not waiter.answers
    driver.spawn_succeeds(0)
    session = driver.pool.step_aside(waiter.granted())
    process = session.process
    assert (process.sessions, process.beside, session.is_beside) == (0, 1, True)
    driver.pool.release(session)
    assert (process.beside, process.processed) == (0, 1)
    driver.close()
