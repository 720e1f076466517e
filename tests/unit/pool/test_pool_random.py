"""The pool under 100,000 random operations, and under hypothesis, which shrinks what fails."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.support.pooldriver import NAMES, PoolDriver, random_apps, random_limits, random_step

INDEX = st.integers(0, 7)
SEED = st.integers(0, 10_000)


@pytest.mark.parametrize("seed", range(20))
def test_keeps_its_promises_in_five_thousand_random_operations_and_comes_to_rest(seed: int) -> None:
    """20 x 5,000 operations; invariants run after each, promises at each answer, `finish` at the end."""
    random = Random(seed)
    driver = PoolDriver(seed, random_apps(random), random_limits(random))
    driver.pool.start()
    for _ in range(5_000):
        random_step(driver, random)
    assert driver.granted > 100
    driver.finish()


class PoolMachine(RuleBasedStateMachine):
    """The same driver, its steps chosen by hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.driver: PoolDriver | None = None

    @property
    def pool(self) -> PoolDriver:
        assert self.driver is not None
        return self.driver

    @initialize(seed=SEED)
    def begin(self, seed: int) -> None:
        random = Random(seed)
        self.driver = PoolDriver(seed, random_apps(random), random_limits(random))
        self.driver.pool.start()
        self.driver.settle()

    @rule(name=st.sampled_from(NAMES))
    def get(self, name: str) -> None:
        self.pool.get(name)

    @rule(index=INDEX)
    def get_from(self, index: int) -> None:
        self.pool.get_from(index)

    @rule(name=st.sampled_from(NAMES))
    def get_beside(self, name: str) -> None:
        self.pool.get_beside(name)

    @rule(index=INDEX)
    def ask_errand(self, index: int) -> None:
        self.pool.ask_errand(index)

    @rule(index=INDEX)
    def errand_over(self, index: int) -> None:
        self.pool.errand_over(index)

    @rule(index=INDEX)
    def release(self, index: int) -> None:
        self.pool.release(index)

    @rule(index=INDEX)
    def connection_failed(self, index: int) -> None:
        self.pool.connection_failed(index)

    @rule(index=INDEX)
    def forget(self, index: int) -> None:
        self.pool.forget(index)

    @rule(index=INDEX)
    def spawn_succeeds(self, index: int) -> None:
        self.pool.spawn_succeeds(index)

    @rule(index=INDEX)
    def spawn_fails(self, index: int) -> None:
        self.pool.spawn_fails(index)

    @rule(index=INDEX)
    def exits(self, index: int) -> None:
        self.pool.exits(index)

    @rule(index=INDEX)
    def withdraw(self, index: int) -> None:
        self.pool.withdraw(index)

    @rule(index=INDEX, patience=st.sampled_from((0.0, 5.0)))
    def condemn(self, index: int, patience: float) -> None:
        self.pool.condemn(index, patience)

    @rule(index=INDEX)
    def renew(self, index: int) -> None:
        self.pool.renew(index)

    @rule(name=st.sampled_from(NAMES), method=st.sampled_from(("", "rolling", "blocking")))
    def restart(self, name: str, method: str) -> None:
        self.pool.restart([name], method)

    @rule(name=st.sampled_from(NAMES), is_so=st.booleans())
    def set_on_demand(self, *, name: str, is_so: bool) -> None:
        self.pool.set_on_demand(name, is_so=is_so)

    @rule()
    def obeys(self) -> None:
        self.pool.obeys()

    @rule(seconds=st.sampled_from((0.0, 0.3, 1.0, 6.0, 61.0)))
    def time_passes(self, seconds: float) -> None:
        self.pool.time_passes(seconds)

    @rule(seed=SEED)
    def apply(self, seed: int) -> None:
        random = Random(seed)
        self.pool.apply(random_apps(random), random_limits(random))

    def teardown(self) -> None:
        if self.driver is not None:
            self.driver.finish()


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPoolMachine = PoolMachine.TestCase
