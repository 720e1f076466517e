"""Processes that are told to go from outside: withdrawn ones finish, condemned ones don't get to."""

from __future__ import annotations

from tests.support.pool import app
from tests.support.poolworld import World


def test_an_idle_process_that_is_withdrawn_is_asked_to_stop_and_followed_by_another() -> None:
    world = World(a=app(min_instances=1)).with_ready("a", 1)
    assert world.withdraw("p1") == ["retire p1: told to", "stop p1", "spawn a"]
    assert world.withdraw("p1") == []


def test_a_busy_process_that_is_withdrawn_finishes_first() -> None:
    world = World(a=app()).with_ready("a", 1)
    world.arrive("a", "w1")
    assert world.withdraw("p1") == ["retire p1: told to"]
    assert world.tick(100) == []
    assert world.release("w1") == ["stop p1"]


def test_a_condemned_process_is_killed_whatever_it_runs() -> None:
    world = World(a=app(min_instances=1)).with_ready("a", 1)
    world.arrive("a", "w1")
    assert world.condemn("p1") == ["retire p1: told to", "KILL p1", "spawn a"]
    assert world.condemn("p1") == []
    world.release("w1")
    world.ready()
    assert world.exit("p1") == ["dispose p1"]
    assert not world.group("a").backoff.failures, "it was no crash"


def test_with_patience_term_comes_first_and_kill_when_it_is_over() -> None:
    world = World(a=app()).with_ready("a", 1)
    world.arrive("a", "w1")
    assert world.condemn("p1", patience=5.0) == ["retire p1: told to", "TERM p1"]
    assert world.tick(4.9) == []
    assert world.tick(0.1) == ["KILL p1"]
    assert world.tick(100) == []


def test_one_that_drains_can_be_condemned_too_and_impatience_overrides_patience() -> None:
    world = World(a=app()).with_ready("a", 1)
    world.arrive("a", "w1")
    world.withdraw("p1")
    assert world.condemn("p1", patience=5.0) == ["TERM p1"]
    assert world.condemn("p1") == ["KILL p1"]
    assert world.tick(100) == []


def test_why_it_ends_now_is_told_even_if_it_was_leaving_for_another_reason() -> None:
    """One over its soft memory limit that goes on to take more than the hard one."""
    world = World(a=app()).with_ready("a", 1)
    world.arrive("a", "w1")
    world.withdraw("p1", "memory_limit")
    world.condemn("p1", "hard_memory_limit", patience=5.0)
    world.condemn("p1", "hard_memory_limit")
    assert [one.why for one in world.group("a").retirements] == ["memory_limit", "hard_memory_limit"]


def test_a_condemned_process_that_ends_in_time_is_not_killed() -> None:
    world = World(a=app()).with_ready("a", 1)
    world.condemn("p1", patience=5.0)
    assert world.exit("p1") == ["dispose p1"]
    assert world.tick(100) == []
