"""max_requests and max_worker_age: another process is ready before a worn one goes; never all at once."""

from __future__ import annotations

import math

import pytest

from passenger.pool.wear import age_of, requests_of
from tests.support.pool import app
from tests.support.poolworld import World


@pytest.mark.parametrize(
    ("limit", "jitter", "luck", "expected"),
    [
        (0, "10%", 0.9, math.inf),
        (50, "0%", 0.9, 50),
        (50, "10%", 0.0, 50),
        (50, "10%", 0.999, 46),
        (50, "100%", 0.999, 1),
        (1, "10%", 0.5, 1),
        (1000, "2.5%", 0.5, 988),
    ],
)
def test_requests(limit: int, jitter: str, luck: float, expected: float) -> None:
    """Jitter only shortens, and one request is always served."""
    assert requests_of(app(max_requests=limit, max_requests_jitter=jitter), luck) == expected


def test_age() -> None:
    """0 = no limit."""
    assert age_of(app(), 0.5) == math.inf
    assert age_of(app(max_worker_age=100.0), 0.5) == pytest.approx(95.0)
    assert age_of(app(max_worker_age=100.0, max_worker_age_jitter="0%"), 0.5) == 100.0


def serve(world: World, count: int) -> list[str]:
    """One request after the other; what the last one's end leads to."""
    words: list[str] = []
    for number in range(count):
        world.arrive("blog", f"r{number}")
        words = world.release(f"r{number}")
    return words


def test_a_worn_process_serves_until_another_is_ready() -> None:
    """Its successor is started beside the limits, even with room for one process only."""
    world = World(size=1, blog=app(max_requests=3, max_requests_jitter="0%", max_instances=1)).with_ready("blog", 1)
    assert serve(world, 2) == []
    assert serve(world, 1) == ["replace blog"]
    assert world.arrive("blog", "a") == ["grant a p1"]
    assert world.release("a") == []
    world.arrive("blog", "b")
    assert world.ready() == ["watch p2", "retire p1: max_requests: served 3"]
    assert world.release("b") == ["stop p1"]
    assert world.arrive("blog", "c") == ["grant c p2"]
    retirements = world.group("blog").retirements
    assert [(one.why, one.processed) for one in retirements] == [("max_requests: served 3", 4)]


def test_if_none_can_be_started_it_goes_on() -> None:
    """A limit never takes the last process away; it is tried again after the back-off."""
    world = World(blog=app(max_requests=1, max_instances=1)).with_ready("blog", 1)
    serve(world, 1)
    assert world.fail() == []
    assert world.arrive("blog", "a") == ["grant a p1"]
    assert world.release("a") == []
    assert world.tick(40.0) == ["replace blog"]


def test_not_all_are_replaced_at_once() -> None:
    """Four worn at the same time: one successor after the other."""
    world = World(blog=app(max_requests=1, max_instances=4, min_instances=4)).with_ready("blog", 4)
    names = ["a", "b", "c", "d"]
    world.arrive("blog", *names)
    assert world.release("a") == ["replace blog"]
    assert [world.release(name) for name in names[1:]] == [[], [], []]
    words = world.ready()
    assert sum(word.startswith("retire") for word in words) == 1
    assert words.count("replace blog") == 1
    assert world.group("blog").enabled == 4


def test_requests_in_a_queue_are_served_meanwhile() -> None:
    """The release to the next in the queue counts, too, and the queue is not held up."""
    world = World(size=1, blog=app(max_requests=1, max_instances=1)).with_ready("blog", 1)
    world.arrive("blog", "a", "b", "c")
    assert world.release("a") == ["grant b p1", "replace blog"]
    assert world.ready() == ["watch p2", "retire p1: max_requests: served 1", "grant c p2"]


def test_an_old_process_is_replaced_at_its_age() -> None:
    """By time alone; processes of the same age have different luck, but one jitter here."""
    options = app(max_worker_age=100.0, max_worker_age_jitter="10%", min_instances=2, max_instances=2)
    world = World(blog=options).with_ready("blog", 2, age=90.0)
    assert world.tick(0.0) == []
    assert world.tick(5.5) == ["replace blog"]
    words = world.ready()
    assert words[:2] == ["watch p3", "retire p1: max_worker_age: 96 s old"]
    assert "replace blog" in words
    assert world.ready()[:2] == ["watch p4", "retire p2: max_worker_age: 96 s old"]
    assert world.tick(1.0) == []


def test_limits_change_live() -> None:
    """A lower limit counts for processes that run, from their next request on."""
    world = World(blog=app(max_requests=100)).with_ready("blog", 1)
    serve(world, 10)
    assert world.configure(blog=app(max_requests=5, max_requests_jitter="0%")) == []
    assert serve(world, 1) == ["replace blog"]
    world = World(blog=app(max_requests=2)).with_ready("blog", 1)
    world.configure(blog=app())
    assert serve(world, 10) == []
    world.configure(blog=app(max_worker_age=5.0))
    assert world.tick(1.0) == ["replace blog"]
    world.configure(blog=app())
    assert not world.ledger.aging
