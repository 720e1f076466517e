"""Tables of (state, event, actions): restarts rolling and blocking, failures in them, what replaces whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from passenger.pool.restart import Restart
from tests.support.pool import app
from tests.support.poolworld import World

Case = tuple[str, Callable[[], World], Callable[[World], list[str]], list[str]]


def of(count: int, **keys: Any) -> World:
    return World(a=app(**keys), size=20, parallel=8).with_ready("a", count)


def busy(world: World, *waiters: str) -> World:
    assert all(words.startswith("grant") for words in world.arrive("a", *waiters))
    return world


def rolled(world: World) -> World:
    """A restart has begun, and its first process is ready."""
    assert world.restart("a") == ["replace a"]
    world.ready()
    return world


ROLLING: list[Case] = [
    (
        "the first new process starts alone, whatever max_surge says",
        lambda: of(5, max_surge=3),
        lambda world: world.restart("a"),
        ["replace a"],
    ),
    (
        "when it is ready max_surge more are started, one old process goes for each that is ready",
        lambda: (world := of(5, max_surge=3), world.restart("a"))[0],
        lambda world: world.ready() + world.ready(),
        [
            *("watch p6", "close g1", "retire p1: replaced", "stop p1", "replace a", "replace a", "replace a"),
            *("watch p7", "retire p2: replaced", "stop p2", "replace a"),
        ],
    ),
    (
        "the newest are asked first, then the others; idle old processes go first",
        lambda: busy(rolled(of(3)), "w1"),
        lambda world: world.arrive("a", "w2") + world.ready(),
        ["grant w2 p3", "watch p5", "retire p2: replaced", "stop p2", "replace a"],
    ),
    (
        "a place that becomes free again is one of its generation",
        lambda: busy(rolled(of(3, thread_count=2)), "w1", "w2", "w3"),
        lambda world: world.release("w1") + world.release("w3") + world.arrive("a", "w4", "w5"),
        ["grant w4 p4", "grant w5 p3"],
    ),
    (
        "the newest trigger wins: what was being started is called off, what is ready counts as old",
        lambda: rolled(of(2)),
        lambda world: world.restart("a") + world.ready() + world.ready(),
        [
            *("call off a", "replace a", "watch p4", "close g2", "retire p2: replaced", "stop p2", "replace a"),
            *("watch p5", "retire p3: replaced", "stop p3", "restart of a done"),
        ],
    ),
    (
        "before the first new process is ready, everything else is started with what was there before",
        lambda: busy(of(1), "w1"),
        lambda world: world.restart("a") + world.arrive("a", "w2") + world.fail() + world.ready(),
        ["replace a", "spawn a", "close g2", "restart of a failed", "watch p2", "grant w2 p2"],
    ),
    (
        "a start with the old code that is still under way when the new one works is called off",
        lambda: (world := of(2, min_instances=2), world.restart("a"), world.exit("p1"))[0],
        lambda world: world.ready(),
        ["watch p3", "call off a", "close g1", "retire p2: replaced", "stop p2", "spawn a", "restart of a done"],
    ),
    (
        "old processes that all end meanwhile do not keep the first new one from being tried",
        lambda: (world := World(a=app(), b=app(), parallel=1).with_ready("a", 1), world.arrive("b", "v1"))[0],
        lambda world: world.restart("a") + world.exit("p1") + world.ready("b") + world.ready("a"),
        ["dispose p1", "watch p2", "grant v1 p2", "replace a", "watch p3", "close g1", "restart of a done"],
    ),
    (
        "an application without a process has nothing to replace: the next request is served by what is there then",
        lambda: World(a=app()),
        lambda world: world.restart("a") + world.arrive("a", "w1"),
        ["close g1", "restart of a done", "spawn a"],
    ),
    (
        "one that keeps failing is tried again at once",
        lambda: (world := World(a=app(min_instances=1)), world.start(), world.fail())[0],
        lambda world: world.restart("a") + world.ready(),
        ["close g1", "spawn a", "watch p1", "restart of a done"],
    ),
    (
        "the first start of all is called off and made again",
        lambda: (world := World(a=app(min_instances=1)), world.start(), world.arrive("a", "w1"))[0],
        lambda world: world.restart("a") + world.ready(),
        ["call off a", "close g1", "spawn a", "watch p1", "grant w1 p1", "restart of a done"],
    ),
    (
        "an application that leaves is not restarted",
        lambda: (world := busy(of(1), "w1"), world.configure())[0],
        lambda world: world.restart("a"),
        [],
    ),
]

FAILING: list[Case] = [
    (
        "if the first new process fails, the old ones go on, and none of them is stopped for being idle",
        lambda: (world := of(3, min_instances=1), world.restart("a"))[0],
        lambda world: world.fail() + world.tick(1000) + world.tick(1000),
        ["close g2", "restart of a failed"],
    ),
    (
        "what is started later is started with what was there before",
        lambda: (world := busy(of(1), "w1"), world.restart("a"), world.fail())[0],
        lambda world: world.arrive("a", "w2") + world.ready() + world.release("w2") + world.arrive("a", "w3"),
        ["spawn a", "watch p2", "grant w2 p2", "grant w3 p2"],
    ),
    (
        "if a later one fails, new and old ones go on side by side, and the others under way are called off",
        lambda: rolled(of(4, max_surge=2)),
        lambda world: world.fail() + world.tick(100),
        ["call off a", "restart of a failed", "KILL p1"],
    ),
    (
        "the next trigger goes on with all that are old then",
        lambda: (world := rolled(of(2)), world.fail())[0],
        lambda world: world.restart("a") + world.ready() + world.ready(),
        [
            *("replace a", "watch p4", "close g2", "retire p2: replaced", "stop p2", "replace a"),
            *("watch p5", "retire p3: replaced", "stop p3", "restart of a done"),
        ],
    ),
    (
        "a reload of the same configuration is a trigger, too",
        lambda: (world := rolled(of(2)), world.fail())[0],
        lambda world: world.configure(a=app(), size=20, parallel=8),
        ["replace a"],
    ),
    (
        "a new process that ends at once has failed",
        lambda: rolled(of(3)),
        lambda world: world.exit("p4") + world.arrive("a", "w1", "w2"),
        ["call off a", "restart of a failed", "dispose p4", "grant w1 p3", "grant w2 p2"],
    ),
    (
        "one that lives for a while and ends is no failure of the restart",
        lambda: (world := rolled(of(3)), world.tick(6))[0],
        lambda world: world.exit("p4"),
        ["dispose p4"],
    ),
    (
        "an old process that ends meanwhile is no failure of the restart",
        lambda: rolled(of(3)),
        lambda world: world.exit("p2") + world.exit("p3"),
        ["dispose p2", "dispose p3", "restart of a done"],
    ),
]

BLOCKING: list[Case] = [
    (
        "all old processes go at once, who comes waits for the new ones",
        lambda: busy(of(2, min_instances=1, restart_method="blocking"), "w1"),
        lambda world: world.restart("a") + world.arrive("a", "w2") + world.ready() + world.release("w1"),
        [
            *("retire p1: restarted", "stop p1", "retire p2: restarted", "close g1", "spawn a"),
            *("watch p3", "grant w2 p3", "restart of a done", "stop p2"),
        ],
    ),
    (
        "its failure is a failed start; the one that works heals it",
        lambda: of(1, min_instances=1),
        lambda world: (
            world.restart("a", method="blocking")
            + world.fail()
            + world.arrive("a", "w1")
            + world.tick(2)
            + world.ready()
        ),
        [
            *("retire p1: restarted", "stop p1", "close g1", "spawn a", "restart of a failed"),
            *("refuse w1 BACKING_OFF 1s", "spawn a", "watch p2"),
        ],
    ),
    (
        "it drops a rolling restart that is under way, and what that would have returned to",
        lambda: (world := of(1, min_instances=1), world.restart("a"))[0],
        lambda world: world.restart("a", method="blocking"),
        ["call off a", "retire p1: restarted", "stop p1", "close g2", "close g1", "spawn a"],
    ),
]

GATHERING: list[Case] = [
    (
        "with ready_when = min_instances the first processes wait for each other",
        lambda: (
            world := World(a=app(min_instances=3, ready_when="min_instances"), parallel=3),
            world.start(),
            world.arrive("a", "w1", "w2"),
        )[0],
        lambda world: world.ready() + world.ready() + world.ready(),
        ["watch p1", "watch p2", "watch p3", "grant w1 p3", "grant w2 p2"],
    ),
    (
        "a start that fails ends the waiting: what is there serves",
        lambda: (
            world := World(a=app(min_instances=2, ready_when="min_instances")),
            world.start(),
            world.arrive("a", "w1"),
        )[0],
        lambda world: world.ready() + world.fail(),
        ["watch p1", "grant w1 p1"],
    ),
    (
        "so does a pool that has no room for more",
        lambda: (
            world := World(a=app(min_instances=3, ready_when="min_instances"), size=2),
            world.start(),
            world.arrive("a", "w1"),
        )[0],
        lambda world: world.ready() + world.ready(),
        ["watch p1", "watch p2", "grant w1 p2"],
    ),
    (
        "a process that waits and ends is replaced",
        lambda: (world := World(a=app(min_instances=2, ready_when="min_instances")), world.start(), world.ready())[0],
        lambda world: (world.tick(6), world.exit("p1"))[1] + world.ready() + world.ready() + world.arrive("a", "w1"),
        ["dispose p1", "spawn a", "watch p2", "watch p3", "grant w1 p3"],
    ),
    (
        "after a blocking restart they wait again, in a rolling one they don't",
        lambda: of(2, min_instances=2, ready_when="min_instances"),
        lambda world: (
            (world.restart("a", method="blocking"), world.arrive("a", "w1"))[1] + world.ready() + world.ready()
        ),
        ["watch p3", "watch p4", "grant w1 p4", "restart of a done"],
    ),
]

OTHERS: list[Case] = [
    (
        "a process that has outlived itself serves until its successor is ready",
        lambda: busy(of(1, max_instances=1), "w1"),
        lambda world: world.outlived("p1") + world.outlived("p1") + world.ready() + world.release("w1"),
        ["replace a", "watch p2", "retire p1: too old", "stop p1"],
    ),
    (
        "if that fails it goes on, and is tried again after a wait",
        lambda: of(1, max_instances=1),
        lambda world: world.outlived("p1") + world.fail() + world.arrive("a", "w1") + world.tick(1.1),
        ["replace a", "grant w1 p1", "replace a"],
    ),
    (
        "on demand nothing is kept while idle; what has served goes each time it is said",
        lambda: (world := of(2, min_instances=1), busy(world, "w1"), world.release("w1"))[0],
        lambda world: world.on_demand("a") + world.tick(9) + world.arrive("a", "w2"),
        [
            *("retire p1: restarted", "stop p1", "retire p2: restarted", "stop p2", "close g1", "restart of a done"),
            *("TERM p1", "TERM p2", "spawn a"),
        ],
    ),
    (
        "what has served nothing is new enough",
        lambda: of(1, min_instances=1),
        lambda world: world.on_demand("a"),
        [],
    ),
    (
        "when that is over min_instances are started again",
        lambda: (world := World(a=app(min_instances=2)), world.on_demand("a"))[0],
        lambda world: world.on_demand("a", is_so=False),
        ["spawn a", "spawn a"],
    ),
]


@pytest.mark.parametrize(
    ("state", "event", "expected"),
    [pytest.param(*case[1:], id=case[0]) for case in ROLLING + FAILING + BLOCKING + GATHERING + OTHERS],
)
def test_decision(state: Callable[[], World], event: Callable[[World], list[str]], expected: list[str]) -> None:
    """In this state, this event leads to exactly these actions."""
    assert event(state()) == expected


def restart_of(world: World) -> Restart:
    found = world.group("a").restart
    assert found is not None
    return found


def test_progress_counts_what_was_replaced() -> None:
    world = of(3)
    group, seen = world.group("a"), []
    world.restart("a")
    restart = restart_of(world)
    for _ in range(3):
        seen.append((restart.done(group), restart.total))
        world.ready()
    assert seen == [(0, 3), (1, 3), (2, 3)]
    assert (restart.done(group), restart.is_running()) == (3, False)


def test_what_failed_is_kept_until_the_next_restart_with_the_reason() -> None:
    world = of(3)
    world.restart("a")
    world.ready()
    world.fail(why="no more memory")
    restart = restart_of(world)
    assert restart.has_failed()
    assert restart.error is not None
    assert restart.error.summary == "no more memory"
    assert restart.done(world.group("a")) == 1
    world.restart("a")
    assert restart_of(world).error is None
    assert world.group("a").counters.restarts == 2


def test_the_preloader_of_the_old_processes_is_kept_until_it_can_not_be_needed_any_more() -> None:
    world = of(1)
    world.restart("a")
    assert world.kept == [1]
    assert world.ready()[1] == "close g1"
    world.restart("a")
    assert world.kept == [1, 2]


def test_a_restart_that_failed_at_once_can_be_repeated_for_ever() -> None:
    world = of(2)
    for _ in range(50):
        world.restart("a")
        world.fail()
    assert world.group("a").generation.number == 1
    assert world.arrive("a", "w1", "w2") == ["grant w1 p2", "grant w2 p1"]
