"""Tables of (state, event, actions): requests, starts, limits, places taken from others, time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.pool import app
from tests.support.poolworld import World

Case = tuple[str, Callable[[], World], Callable[[World], list[str]], list[str]]


def busy(world: World, group: str, *waiters: str) -> World:
    """Every waiter runs a request."""
    assert all(words.startswith("grant") for words in world.arrive(group, *waiters))
    return world


def queued(world: World, group: str, *waiters: str) -> World:
    assert not any(words.startswith(("grant", "refuse")) for words in world.arrive(group, *waiters))
    return world


def failed(world: World, *, ago: float) -> World:
    """The first start failed a while ago."""
    queued(world, "a", "w1")
    world.fail()
    world.now += ago
    return world


REQUESTS: list[Case] = [
    (
        "a free process is taken",
        lambda: World(a=app()).with_ready("a", 1),
        lambda world: world.arrive("a", "w1"),
        ["grant w1 p1"],
    ),
    (
        "the least busy process is taken",
        lambda: busy(World(a=app(thread_count=2)).with_ready("a", 2), "a", "w1"),
        lambda world: world.arrive("a", "w2"),
        ["grant w2 p1"],
    ),
    (
        "a cold application gets one start, however many wait",
        lambda: World(a=app(), parallel=4),
        lambda world: world.arrive("a", "w1", "w2", "w3"),
        ["spawn a"],
    ),
    (
        "the queue is served first come, first served",
        lambda: queued(World(a=app(thread_count=2, max_instances=1)), "a", "w1", "w2", "w3"),
        lambda world: world.ready(),
        ["watch p1", "grant w1 p1", "grant w2 p1"],
    ),
    (
        "a released place goes to the first who waits",
        lambda: queued(busy(World(a=app(max_instances=1)).with_ready("a", 1), "a", "w1"), "a", "w2", "w3"),
        lambda world: world.release("w1"),
        ["grant w2 p1"],
    ),
    (
        "who left the queue is passed over",
        lambda: queued(busy(World(a=app(max_instances=1)).with_ready("a", 1), "a", "w1"), "a", "w2", "w3"),
        lambda world: world.depart("w2") + world.release("w1"),
        ["grant w3 p1"],
    ),
    (
        "a full queue refuses",
        lambda: queued(
            busy(World(a=app(max_instances=1, max_request_queue_size=2)).with_ready("a", 1), "a", "w1"),
            "a",
            "w2",
            "w3",
        ),
        lambda world: world.arrive("a", "w4"),
        ["refuse w4 QUEUE_FULL 5s"],
    ),
    (
        "a queue without limit takes everybody",
        lambda: busy(World(a=app(max_instances=1, max_request_queue_size=0)).with_ready("a", 1), "a", "w1"),
        lambda world: world.arrive("a", *(f"q{number}" for number in range(500))),
        [],
    ),
    (
        "no session goes to a process that cannot be reached",
        lambda: busy(World(a=app(thread_count=2, max_instances=2)).with_ready("a", 1), "a", "w1", "w2"),
        lambda world: world.unreachable("w1") + world.arrive("a", "w3") + world.release("w2"),
        ["retire p1: refused", "spawn a", "stop p1"],
    ),
]

STARTS: list[Case] = [
    (
        "min_instances are started without a request, two at a time",
        lambda: World(a=app(min_instances=3), b=app(min_instances=1)),
        lambda world: world.start(),
        ["spawn a", "spawn a"],
    ),
    (
        "a turn that became free goes to the group that has waited longest",
        lambda: (world := World(a=app(min_instances=3), b=app(min_instances=1)), world.start())[0],
        lambda world: world.ready("a"),
        ["watch p1", "spawn a"],
    ),
    (
        "when all are busy, the request that must queue causes a start",
        lambda: busy(World(a=app()).with_ready("a", 1), "a", "w1"),
        lambda world: world.arrive("a", "w2"),
        ["spawn a"],
    ),
    (
        "no more starts than places are needed",
        lambda: busy(World(a=app(thread_count=4), parallel=4).with_ready("a", 1), "a", "w1", "w2", "w3", "w4"),
        lambda world: world.arrive("a", "w5", "w6", "w7"),
        ["spawn a"],
    ),
    (
        "max_parallel_spawns bounds the starts of a long queue",
        lambda: busy(World(a=app(), size=20, parallel=3).with_ready("a", 1), "a", "w1"),
        lambda world: world.arrive("a", *(f"q{number}" for number in range(9))),
        ["spawn a", "spawn a", "spawn a"],
    ),
    (
        "max_instances bounds them too",
        lambda: busy(World(a=app(max_instances=2), parallel=3).with_ready("a", 1), "a", "w1"),
        lambda world: world.arrive("a", "w2", "w3", "w4"),
        ["spawn a"],
    ),
    (
        "an application without any process has its turn before one that wants more",
        lambda: queued(busy(World(a=app(), b=app(), parallel=1).with_ready("a", 1), "a", "w1"), "a", "w2", "w3"),
        lambda world: world.arrive("b", "v1") + world.ready("a"),
        ["watch p2", "grant w2 p2", "spawn b"],
    ),
    (
        "a start that fails fails everybody who waits when nothing else lives",
        lambda: queued(World(a=app()), "a", "w1", "w2"),
        lambda world: world.fail(),
        ["refuse w1 SPAWN_FAILED 1s", "refuse w2 SPAWN_FAILED 1s"],
    ),
    (
        "a start that fails while another process lives fails nobody (B10)",
        lambda: queued(busy(World(a=app()).with_ready("a", 1), "a", "w1"), "a", "w2"),
        lambda world: world.fail() + world.release("w1"),
        ["grant w2 p1"],
    ),
    (
        "while it backs off, requests are refused at once (A17)",
        lambda: (world := queued(World(a=app()), "a", "w1"), world.fail())[0],
        lambda world: world.arrive("a", "w2"),
        ["refuse w2 BACKING_OFF 1s"],
    ),
    (
        "after the wait the next request is the next try, even before a tick",
        lambda: failed(World(a=app()), ago=1.01),
        lambda world: world.arrive("a", "w2", "w3"),
        ["spawn a"],
    ),
    (
        "min_instances are tried again when the wait is over",
        lambda: (world := World(a=app(min_instances=1)), world.start(), world.fail())[0],
        lambda world: world.tick(0.5) + world.tick(0.6),
        ["spawn a"],
    ),
    (
        "after a failure one start at a time, whatever min_instances says",
        lambda: (world := World(a=app(min_instances=4), parallel=4), world.start(), world.fail(), world.fail())[0],
        lambda world: world.fail() + world.fail() + world.tick(1.1),
        ["spawn a"],
    ),
    (
        "a process that ends is replaced at once when it has lived",
        lambda: World(a=app(min_instances=1)).with_ready("a", 1),
        lambda world: world.exit("p1"),
        ["dispose p1", "spawn a"],
    ),
    (
        "one that ends too soon is a failed start: the queue is told at once",
        lambda: queued(busy(World(a=app(max_instances=1)).with_ready("a", 1, age=1), "a", "w1"), "a", "w2"),
        lambda world: world.exit("p1") + world.arrive("a", "w3"),
        ["dispose p1", "refuse w2 BACKING_OFF 1s", "refuse w3 BACKING_OFF 1s"],
    ),
    (
        "a start nobody waits for any more still becomes a process",
        lambda: (world := queued(World(a=app()), "a", "w1"), world.depart("w1"))[0],
        lambda world: world.ready(),
        ["watch p1"],
    ),
]

PLACES: list[Case] = [
    (
        "a full pool gives the place of the longest idle process to an application that has none",
        lambda: busy(World(a=app(), b=app(), size=3).with_ready("a", 3), "a", "w1"),
        lambda world: world.arrive("b", "v1"),
        ["retire p1: another application needs its place", "stop p1", "spawn b"],
    ),
    (
        "rather that of a group above its minimum, though another was idle longer",
        lambda: World(a=app(min_instances=1), b=app(), c=app(), size=2).with_ready("a", 1).with_ready("b", 1),
        lambda world: world.arrive("c", "v1"),
        ["retire p2: another application needs its place", "stop p2", "spawn c"],
    ),
    (
        "below min_instances when nothing else is idle",
        lambda: World(a=app(min_instances=1), c=app(), size=1).with_ready("a", 1),
        lambda world: world.arrive("c", "v1"),
        ["retire p1: another application needs its place", "stop p1", "spawn c"],
    ),
    (
        "when all are busy, the first that becomes idle is taken",
        lambda: queued(busy(World(a=app(), b=app(), size=2).with_ready("a", 2), "a", "w1", "w2"), "b", "v1"),
        lambda world: world.release("w1"),
        ["retire p2: another application needs its place", "stop p2", "spawn b"],
    ),
    (
        "but not from under requests that wait for it",
        lambda: queued(
            queued(busy(World(a=app(), b=app(), size=1).with_ready("a", 1), "a", "w1"), "b", "v1"), "a", "w2"
        ),
        lambda world: world.release("w1"),
        ["grant w2 p1"],
    ),
    (
        "unless the other has starved for ten seconds: then it takes turns, and requests in progress finish",
        lambda: queued(
            queued(busy(World(a=app(), b=app(), size=1).with_ready("a", 1), "a", "w1"), "b", "v1"), "a", "w2"
        ),
        lambda world: world.tick(9.0) + world.tick(1.0) + world.release("w1"),
        ["retire p1: another application needs its place", "spawn b", "stop p1"],
    ),
    (
        "an application that has processes takes only what is spare",
        lambda: busy(World(a=app(), b=app(), size=2).with_ready("b", 1).with_ready("a", 1, age=1), "a", "w1"),
        lambda world: world.arrive("a", "w2"),
        ["retire p1: another application needs its place", "stop p1", "spawn a"],
    ),
    (
        "not what was used a moment ago",
        lambda: busy(World(a=app(), b=app(), size=2).with_ready("a", 1).with_ready("b", 1, age=1), "a", "w1"),
        lambda world: world.arrive("a", "w2") + world.tick(1),
        [],
    ),
    (
        "and never below min_instances",
        lambda: busy(World(a=app(), b=app(min_instances=1), size=2).with_ready("a", 1).with_ready("b", 1), "a", "w1"),
        lambda world: world.arrive("a", "w2") + world.tick(100),
        [],
    ),
    (
        "min_instances of a group takes no place from another at its own",
        lambda: World(a=app(min_instances=1), b=app(min_instances=1), size=1).with_ready("a", 1),
        lambda world: world.start() + world.tick(100),
        [],
    ),
    (
        "a place that became free goes to whoever starves",
        lambda: queued(busy(World(a=app(), b=app(), size=1).with_ready("a", 1), "a", "w1"), "b", "v1"),
        lambda world: world.exit("p1"),
        ["dispose p1", "spawn b"],
    ),
]

TIME: list[Case] = [
    (
        "idle processes are stopped, longest idle first, down to min_instances",
        lambda: World(a=app(min_instances=1), idle=60).with_ready("a", 3, age=0),
        lambda world: world.tick(59) + world.tick(1),
        ["retire p1: idle", "stop p1", "retire p2: idle", "stop p2"],
    ),
    (
        "0 = never",
        lambda: World(a=app(), idle=0).with_ready("a", 3),
        lambda world: world.tick(1e9),
        [],
    ),
    (
        "one that serves is not idle",
        lambda: busy(World(a=app(), idle=60).with_ready("a", 1), "a", "w1"),
        lambda world: world.tick(1000),
        [],
    ),
    (
        "idle time begins with the end of the last session",
        lambda: busy(World(a=app(), idle=60).with_ready("a", 1), "a", "w1"),
        lambda world: world.tick(50) + world.release("w1") + world.tick(59) + world.tick(1),
        ["retire p1: idle", "stop p1"],
    ),
    (
        "who does not stop gets TERM after five seconds and KILL after shutdown_timeout",
        lambda: (world := World(a=app(shutdown_timeout=20.0), idle=60).with_ready("a", 1, age=0), world.tick(60))[0],
        lambda world: world.tick(4.9) + world.tick(0.1) + world.tick(14.9) + world.tick(0.1) + world.tick(100),
        ["TERM p1", "KILL p1"],
    ),
    (
        "TERM after half of a short shutdown_timeout",
        lambda: (world := World(a=app(shutdown_timeout=2.0), idle=60).with_ready("a", 1, age=0), world.tick(60))[0],
        lambda world: world.tick(1.0) + world.tick(1.0),
        ["TERM p1", "KILL p1"],
    ),
    (
        "a draining process with a request in progress is not asked to stop",
        lambda: busy(World(a=app(max_instances=2), size=2).with_ready("a", 2), "a", "w1", "w2"),
        lambda world: world.configure(a=app(max_instances=1)) + world.tick(599),
        ["retire p1: max_instances"],
    ),
    (
        "after drain_timeout it gets SIGTERM, after shutdown_timeout SIGKILL, each once",
        lambda: busy(World(a=app(drain_timeout=9.0, shutdown_timeout=6.0)).with_ready("a", 1), "a", "w1"),
        lambda world: (
            world.withdraw("p1")
            + world.tick(8.9)
            + world.tick(0.1)
            + world.tick(5.9)
            + world.tick(0.1)
            + world.tick(99)
        ),
        ["retire p1: told to", "TERM p1", "KILL p1"],
    ),
    (
        "without a drain_timeout its requests may go on for ever",
        lambda: busy(World(a=app(drain_timeout=0.0)).with_ready("a", 1), "a", "w1"),
        lambda world: world.withdraw("p1") + world.tick(1e9),
        ["retire p1: told to"],
    ),
]


@pytest.mark.parametrize(
    ("state", "event", "expected"),
    [pytest.param(*case[1:], id=case[0]) for case in REQUESTS + STARTS + PLACES + TIME],
)
def test_decision(state: Callable[[], World], event: Callable[[World], list[str]], expected: list[str]) -> None:
    """In this state, this event leads to exactly these actions."""
    assert event(state()) == expected


def test_retry_after_doubles_up_to_half_a_minute_and_a_success_heals_at_once() -> None:
    world = World(a=app(min_instances=1))
    world.start()
    waits = []
    for _ in range(7):
        world.fail()
        waits.append(world.group("a").backoff.remaining(world.now))
        assert world.tick(waits[-1] + 0.01) == ["spawn a"]
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    world.arrive("a", "w1")
    assert world.ready() == ["watch p1", "grant w1 p1"]
    assert world.group("a").backoff.remaining(world.now) == 0


def test_a_process_that_keeps_dying_young_waits_longer_each_time() -> None:
    """Its starts succeed, so only the count of quick ends tells that it loops."""
    world = World(a=app(min_instances=1))
    world.start()
    waits = []
    for number in range(1, 5):
        world.ready()
        world.now += 1.0
        assert world.exit(f"p{number}") == [f"dispose p{number}"]
        waits.append(world.group("a").backoff.remaining(world.now))
        assert world.tick(waits[-1] + 0.01) == ["spawn a"]
    assert waits == [1, 2, 4, 8]
    world.ready()
    world.now += 6.0
    assert world.exit("p5") == ["dispose p5", "spawn a"]


def test_starts_that_fail_side_by_side_count_once() -> None:
    world = World(a=app(min_instances=2))
    world.start()
    world.fail()
    world.fail()
    assert world.group("a").backoff.failures == 1


def test_a_busy_pool_that_is_too_small_is_shared_by_turns() -> None:
    """Two applications that always have requests, one place: each gets its turn, nobody waits for ever."""
    world = World(a=app(), b=app(), size=1)
    served = {"a": 0, "b": 0}
    for number in range(200):
        for name in ("a", "b"):
            if not world.group(name).waiters:
                world.arrive(name, f"{name}{number}")
        while world.starts:
            world.ready()
        for waiter in list(world.sessions):
            served[waiter[0]] += 1
            world.release(waiter)
        world.tick(1.0)
    assert served["a"] > 20
    assert served["b"] > 20
