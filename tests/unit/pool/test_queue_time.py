"""A request that is sent away because it has waited for too long: out of the queue, and counted by itself."""

from __future__ import annotations

from tests.support.pool import app
from tests.support.poolworld import World


def test_it_leaves_the_queue_and_is_no_departure() -> None:
    world = World(a=app(max_instances=1))
    world.arrive("a", "w1", "w2", "w3")
    world.ready("a")
    assert world.depart("w2", is_late=True) == []
    world.depart("w3")
    counters = world.group("a").counters
    assert (counters.refused_queue_time, counters.departed_in_queue) == (1, 1)
    assert not world.group("a").waiters
    assert world.release("w1") == []
