"""Tiers: the newest generation first, then least busy, whatever comes and goes; the same cost for any number."""

from __future__ import annotations

from random import Random

import pytest

from passenger.pool.model import Process
from passenger.pool.tiers import Tiers
from tests.support.pool import app
from tests.support.poolworld import World


@pytest.mark.parametrize("seed", range(4))
def test_takes_a_least_busy_one_of_the_newest_that_is_free(seed: int) -> None:
    """Against the plain definition, with full and unlimited processes and three generations."""
    random = Random(seed)
    world = World(a=app(thread_count=3, max_request_queue_size=0), size=40)
    world.with_ready("a", 4)
    group = world.group("a")
    for step in range(1_000):
        kind = random.choices(("arrive", "release", "restart", "ready", "fail"), (50, 46, 1, 4, 1))[0]
        if kind == "arrive":
            free = [p for p in group.processes if p.takes_requests() and p.sessions < p.concurrency]
            before = {process: process.sessions for process in free}
            words = world.arrive("a", f"w{step}")
            if free:
                taken = world.sessions[f"w{step}"].process
                assert taken in free, words
                assert before[taken] == min(before[p] for p in free if is_new(p) == any(map(is_new, free)))
        elif kind == "release" and world.sessions:
            world.release(random.choice(list(world.sessions)))
        elif kind == "restart":
            world.restart("a")
        elif kind in {"ready", "fail"} and world.starts:
            world.ready() if kind == "ready" else world.fail()
    assert isinstance(group.places, Tiers) or not group.outdated


def is_new(process: Process) -> bool:
    return process.generation is process.group.generation


def test_after_a_restart_nothing_is_left_of_it() -> None:
    world = World(a=app()).with_ready("a", 2)
    plain = type(world.group("a").places)
    world.restart("a")
    world.ready()
    assert isinstance(world.group("a").places, Tiers)
    world.ready()
    assert type(world.group("a").places) is plain
