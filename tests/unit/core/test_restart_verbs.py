"""The verbs of restarts: what they take, what they refuse, what they answer with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from passenger.core.restart_verbs import RestartVerbs
from passenger.errors import PassengerError
from tests.support.pool import app, limits, turn
from tests.support.pooldriver import PoolDriver


@pytest.fixture(name="house")
def _house() -> Iterator[PoolDriver]:
    """Applications a and b with one process each."""
    driver = PoolDriver(1, {"a": app(min_instances=1), "b": app(min_instances=1)}, limits())
    driver.pool.start()
    driver.settle()
    driver.spawn_succeeds(0)
    driver.spawn_succeeds(0)
    driver.clock.now += 60
    yield driver
    driver.close()


def ask(house: PoolDriver, verb: str, **question: Any) -> Any:
    verbs = RestartVerbs(house.pool, house.clock)
    return house.loop.run_until_complete(getattr(verbs, verb)(question))


def test_restart_answers_at_once_or_waits(house: PoolDriver) -> None:
    assert ask(house, "restart", apps=["a"])["apps"]["a"]["state"] == "running"
    verbs = RestartVerbs(house.pool, house.clock)
    waiting = house.loop.create_task(verbs.restarted({"apps": ["a", "b"], "wait": 60}))
    turn(house.loop)
    assert not waiting.done()
    house.spawn_succeeds(0)
    answer = house.loop.run_until_complete(asyncio.wait_for(waiting, 10))
    assert answer["apps"]["a"]["state"] == "done"
    assert answer["apps"]["a"]["why"] == "passenger restart-app"
    assert answer["apps"]["b"] is None


def test_all_of_them_by_another_method(house: PoolDriver) -> None:
    answer = ask(house, "restart", all=True, method="blocking")
    assert {name: one["method"] for name, one in answer["apps"].items()} == {"a": "blocking", "b": "blocking"}


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({}, "no application was named"),
        ({"apps": []}, "no application was named"),
        ({"apps": "a"}, "no application was named"),
        ({"apps": ["a", "c"]}, "there is no application 'c' here"),
        ({"apps": [["a"]]}, "there is no application"),
        ({"apps": ["a"], "method": "magic"}, "there is no restart method 'magic'"),
        ({"apps": ["a"], "method": ["rolling"]}, "there is no restart method"),
        ({"apps": ["a"], "wait": -1}, "is no time to wait"),
        ({"apps": ["a"], "wait": "long"}, "is no time to wait"),
        ({"apps": ["a"], "wait": True}, "is no time to wait"),
        ({"apps": ["a"], "wait": float("nan")}, "is no time to wait"),
    ],
)
def test_what_is_no_question_changes_nothing(house: PoolDriver, question: dict[str, Any], why: str) -> None:
    with pytest.raises(PassengerError, match=why):
        ask(house, "restart", **question)
    assert house.ledger.groups["a"].restart is None


@pytest.mark.parametrize("pid", [None, "1", 1, 0, -1, 1.5, True])
def test_only_processes_of_applications_are_let_go(house: PoolDriver, pid: object) -> None:
    with pytest.raises(PassengerError, match="is no application process of this instance"):
        ask(house, "detach", pid=pid)


def test_detach_twice_is_told(house: PoolDriver) -> None:
    pid = house.processes[0].pid
    assert ask(house, "detach", pid=pid) == {"pid": pid, "app": "a", "how": "replaced first", "gone": False}
    assert ask(house, "detach", pid=pid)["how"] == "replaced first"
    house.spawn_succeeds(0)
    assert ask(house, "detach", pid=pid)["how"] == "leaving already"
    house.obeys()
    with pytest.raises(PassengerError):
        ask(house, "detach", pid=pid)
