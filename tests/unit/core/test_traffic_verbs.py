"""The verbs of traffic: what they take, what they refuse, what is kept for the next core."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from passenger.core.probes import Probes
from passenger.core.traffic_verbs import TrafficVerbs
from passenger.errors import PassengerError
from passenger.request.traffic import Traffic
from tests.support.pool import RecordingWaiter, app, limits, turn
from tests.support.pooldriver import PoolDriver


class House:
    """Applications a and b with one process each, and their verbs."""

    def __init__(self) -> None:
        self.driver = PoolDriver(1, {"a": app(min_instances=1), "b": app(min_instances=1)}, limits())
        self.driver.pool.start()
        self.driver.settle()
        for _ in range(2):
            self.driver.spawn_succeeds(0)
        self.kept: dict[str, Any] = {}
        self.probes = Probes(lambda: True)
        self.verbs = self.new_core()

    def new_core(self) -> TrafficVerbs:
        self.traffic = Traffic(lambda: None)
        self.probes = Probes(lambda: True)
        pool, clock, log = self.driver.pool, self.driver.clock, self.driver.lines.log
        return TrafficVerbs(self.traffic, pool, self.probes, clock=clock, log=log, keep=self._keep)

    def ask(self, verb: str, **question: Any) -> Any:
        return self.driver.loop.run_until_complete(getattr(self.verbs, verb)(question))

    def _keep(self, key: str, value: Any) -> None:
        self.kept[key] = value
        if value is None:
            del self.kept[key]


@pytest.fixture(name="house")
def _house() -> Iterator[House]:
    house = House()
    yield house
    house.driver.close()


def test_pause_waits_for_what_runs(house: House) -> None:
    waiter = RecordingWaiter()
    house.driver.pool.get("a", waiter)
    told = house.ask("pause", apps=["a"], hold=5, wait=0)["apps"]["a"]
    assert (told["running"], told["traffic"]["hold"]) == (1, 5.0)
    waiting = house.driver.loop.create_task(house.verbs.pause({"all": True, "hold": 5, "wait": 60}))
    turn(house.driver.loop)
    assert not waiting.done()
    house.driver.pool.release(waiter.granted())
    assert {one["running"] for one in house.driver.loop.run_until_complete(waiting)["apps"].values()} == {0}
    assert set(house.kept) == {"app:a", "app:b"}


def test_resume_says_what_was_on(house: House) -> None:
    house.ask("pause", apps=["a"], hold=5)
    told = house.ask("resume", all=True)["apps"]
    assert (told["a"]["was_on"], told["b"]["was_on"]) == (True, False)
    assert not house.kept


def test_the_next_core_goes_on_with_all_of_it(house: House) -> None:
    house.ask("pause", apps=["a"], hold=5)
    house.ask("maintenance", apps=["b"], on=True, page="<p>", allow=["10.0.0.0/8"], retry_after=9)
    house.ask("drain", on=True)
    before = dict(house.kept)
    house.verbs = house.new_core()
    house.verbs.restore(before, ["a", "b"])
    assert house.kept == before
    assert house.probes.health.reasons == ["drained by an operator"]
    assert house.traffic.gates["b"].lets_in("10.1.1.1")
    house.ask("resume", apps=["a"])
    house.ask("maintenance", all=True, on=False)
    house.ask("drain", on=False)
    assert not house.kept
    assert house.probes.health.ready


def test_what_is_gone_or_not_understood_is_left_behind(house: House) -> None:
    house.kept = {"app:gone": {"pause": {"since": 1.0, "hold": 2.0}}, "app:a": {"pause": {"until": 3}}, "drained": {}}
    house.verbs.restore(dict(house.kept), ["a", "b"])
    assert not house.traffic.gates
    assert house.probes.health.ready
    assert "app:gone" not in house.kept
    assert sum("not understood" in line for line in house.driver.lines.read()) == 2


def test_an_application_that_is_removed_leaves_nothing(house: House) -> None:
    house.ask("pause", all=True, hold=5)
    house.traffic.only(["b"])
    house.verbs.follow(["b"])
    assert set(house.kept) == {"app:b"}


@pytest.mark.parametrize(
    ("verb", "question", "why"),
    [
        ("pause", {}, "no application was named"),
        ("pause", {"apps": ["c"]}, "there is no application 'c'"),
        ("pause", {"apps": ["a"], "hold": "long"}, "is no time"),
        ("pause", {"apps": ["a"], "wait": -1}, "is no time"),
        ("pause", {"apps": ["a"], "hold": float("inf")}, "is no time"),
        ("resume", {"apps": [["a"]]}, "there is no application"),
        ("maintenance", {"apps": ["a"]}, "on or off"),
        ("maintenance", {"apps": ["a"], "on": True, "page": 5}, "no text"),
        ("maintenance", {"apps": ["a"], "on": True, "allow": "10.0.0.0/8"}, "no list"),
        ("maintenance", {"apps": ["a"], "on": True, "allow": ["10.0.0.1/8"]}, "may not pass"),
        ("maintenance", {"apps": ["a"], "on": True, "allow": ["10.0.0.1"] * 101}, "no list"),
        ("drain", {"on": "yes"}, "on or off"),
    ],
)
def test_what_is_no_order_changes_nothing(house: House, verb: str, question: dict[str, Any], why: str) -> None:
    with pytest.raises(PassengerError, match=why):
        house.ask(verb, **question)
    assert not house.kept
    assert not house.traffic.gates
