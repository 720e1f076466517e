"""Tables of (state, event, actions): a new configuration, a roll that works or fails, removal, stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.pool import app
from tests.support.poolworld import World

Case = tuple[str, Callable[[], World], Callable[[World], list[str]], list[str]]

NEW = app(app_env="staging")
"""Differs from `app()` in a key that needs a restart."""


def busy(world: World, *waiters: str) -> World:
    assert all(words.startswith("grant") for words in world.arrive("a", *waiters))
    return world


def rolling(count: int = 1) -> World:
    """A roll has begun: one replacement is being started."""
    world = World(a=app()).with_ready("a", count)
    assert world.configure(a=NEW) == ["replace a"]
    return world


CASES: list[Case] = [
    (
        "nothing changed: every process stays",
        lambda: World(a=app(), b=app()).with_ready("a", 2).with_ready("b", 1),
        lambda world: world.configure(a=app(), b=app()),
        [],
    ),
    (
        "a live key applies in place",
        lambda: World(a=app()).with_ready("a", 1),
        lambda world: world.configure(a=app(min_instances=2)),
        ["spawn a"],
    ),
    (
        "a restart key starts one replacement first, even in a full pool; the old process serves",
        lambda: World(a=app(), size=1).with_ready("a", 1),
        lambda world: world.configure(a=NEW, size=1) + world.arrive("a", "w1"),
        ["replace a", "grant w1 p1"],
    ),
    (
        "when the replacement is ready, one old process goes, and the next is replaced",
        lambda: rolling(2),
        lambda world: world.ready(),
        ["watch p3", "close g1", "retire p1: replaced", "stop p1", "replace a"],
    ),
    (
        "until none is left",
        lambda: (world := rolling(2), world.ready())[0],
        lambda world: world.ready() + world.tick(2),
        ["watch p4", "retire p2: replaced", "stop p2", "restart of a done"],
    ),
    (
        "a busy old process finishes its request first",
        lambda: (world := busy(World(a=app()).with_ready("a", 1), "w1"), world.configure(a=NEW))[0],
        lambda world: world.ready() + world.release("w1"),
        ["watch p2", "close g1", "retire p1: replaced", "restart of a done", "stop p1"],
    ),
    (
        "if the first replacement fails, the old ones stay, and it is not tried again by itself",
        lambda: rolling(2),
        lambda world: world.fail() + world.tick(100) + world.arrive("a", "w1", "w2"),
        ["close g2", "restart of a failed", "grant w1 p2", "grant w2 p1"],
    ),
    (
        "after a failed roll the next reload of the same configuration tries again",
        lambda: (world := rolling(), world.fail())[0],
        lambda world: world.configure(a=NEW) + world.ready(),
        ["replace a", "watch p2", "close g1", "retire p1: replaced", "stop p1", "restart of a done"],
    ),
    (
        "a later replacement that fails stops the roll; new and old processes serve, the newest first",
        lambda: (world := rolling(2), world.ready())[0],
        lambda world: world.exit("p1") + world.fail() + world.tick(100) + world.arrive("a", "w1", "w2"),
        ["dispose p1", "restart of a failed", "grant w1 p3", "grant w2 p2"],
    ),
    (
        "a reload during a roll calls the replacement off and keeps the old process for the case of failure",
        rolling,
        lambda world: world.configure(a=app(app_env="test")) + world.fail() + world.arrive("a", "w1"),
        ["call off a", "close g2", "replace a", "close g3", "restart of a failed", "grant w1 p1"],
    ),
    (
        "a replacement that is ready after it was called off is stopped",
        rolling,
        lambda world: (late := world.starts[0], world.configure(a=app(app_env="test")), world.ready_late(late))[-1],
        ["watch p2", "stop p2"],
    ),
    (
        "the old process dies before the roll is proven: who waits gets the new one, or if it fails one of the old",
        lambda: (world := rolling(), world.exit("p1"), world.arrive("a", "w1"))[0],
        lambda world: world.fail() + world.ready(),
        ["close g2", "restart of a failed", "spawn a", "watch p2", "grant w1 p2"],
    ),
    (
        "an application without a process takes the new options over at once and is forgiven its failures",
        lambda: (world := World(a=app()), world.arrive("a", "w1"), world.fail())[0],
        lambda world: world.configure(a=NEW) + world.arrive("a", "w2"),
        ["close g1", "restart of a done", "spawn a"],
    ),
    (
        "what was being started with old options is called off, and started again for who waits",
        lambda: (world := World(a=app()), world.arrive("a", "w1"))[0],
        lambda world: world.configure(a=NEW) + world.ready(),
        ["call off a", "close g1", "spawn a", "watch p1", "grant w1 p1", "restart of a done"],
    ),
    (
        "rolls of many applications keep to max_parallel_spawns",
        lambda: World(a=app(), b=app(), c=app()).with_ready("a", 1).with_ready("b", 1).with_ready("c", 1),
        lambda world: world.configure(a=NEW, b=NEW, c=NEW),
        ["replace a", "replace b"],
    ),
    (
        "a new application is started",
        lambda: World(a=app()),
        lambda world: world.configure(a=app(), b=app(min_instances=1)),
        ["spawn b"],
    ),
    (
        "a removed application stops what it runs",
        lambda: busy(World(a=app()).with_ready("a", 2), "w1"),
        lambda world: world.configure() + world.release("w1") + world.exit("p1") + world.exit("p2"),
        ["retire p1: removed", "stop p1", "retire p2: removed", "stop p2", "dispose p1", "dispose p2", "close g1"],
    ),
    (
        "but first it serves its queue",
        lambda: (
            world := busy(World(a=app(max_instances=1)).with_ready("a", 1), "w1"),
            world.arrive("a", "w2"),
        )[0],
        lambda world: world.configure() + world.release("w1") + world.release("w2"),
        ["grant w2 p1", "retire p1: removed", "stop p1"],
    ),
    (
        "a smaller pool: idle processes go first, then busy ones drain",
        lambda: busy(World(a=app()).with_ready("a", 3), "w1", "w2"),
        lambda world: world.configure(a=app(), size=1) + world.release("w2"),
        ["retire p1: max_pool_size", "stop p1", "retire p2: max_pool_size", "stop p2"],
    ),
    (
        "a smaller max_instances calls a start off first",
        lambda: (world := World(a=app()).with_ready("a", 1), busy(world, "w1"), world.arrive("a", "w2"))[0],
        lambda world: world.configure(a=app(max_instances=1)),
        ["call off a"],
    ),
    (
        "a larger pool is used at once",
        lambda: (world := busy(World(a=app(), size=1).with_ready("a", 1), "w1"), world.arrive("a", "w2"))[0],
        lambda world: world.configure(a=app(), size=2),
        ["spawn a"],
    ),
    (
        "stop: idle processes end, starts are called off",
        lambda: (world := World(a=app(min_instances=1), b=app(min_instances=1)).with_ready("a", 1), world.start())[0],
        lambda world: world.stop() + world.exit("p1"),
        ["retire p1: stopping", "stop p1", "call off b", "close g1", "dispose p1", "close g1"],
    ),
    (
        "stop: what becomes ready although it was called off is stopped and waited for",
        lambda: (world := World(a=app(min_instances=1)), world.start())[0],
        lambda world: (late := world.starts[0], world.stop() + world.ready_late(late) + world.exit("p1"))[1],
        ["call off a", "close g1", "watch p1", "stop p1", "dispose p1", "close g1"],
    ),
    (
        "stop: who waits is served first",
        lambda: (
            world := busy(World(a=app(max_instances=1)).with_ready("a", 1), "w1"),
            world.arrive("a", "w2"),
        )[0],
        lambda world: world.stop() + world.release("w1") + world.release("w2") + world.exit("p1"),
        ["grant w2 p1", "retire p1: stopping", "stop p1", "dispose p1", "close g1"],
    ),
    (
        "stop: even if a process must be started for it",
        lambda: (world := World(a=app()), world.arrive("a", "w1"))[0],
        lambda world: world.stop() + world.ready() + world.release("w1"),
        ["watch p1", "grant w1 p1", "retire p1: stopping", "stop p1"],
    ),
    (
        "time is over: who waits is refused, everything is killed",
        lambda: (
            world := busy(World(a=app(), parallel=1).with_ready("a", 1), "w1"),
            world.arrive("a", "w2"),
        )[0],
        lambda world: world.stop() + world.give_up() + world.tick(100) + world.exit("p1"),
        ["refuse w2 STOPPING 5s", "call off a", "retire p1: stopping", "KILL p1", "dispose p1", "close g1"],
    ),
]


@pytest.mark.parametrize(("state", "event", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_decision(state: Callable[[], World], event: Callable[[World], list[str]], expected: list[str]) -> None:
    """In this state, this event leads to exactly these actions."""
    assert event(state()) == expected


def test_a_failed_roll_keeps_the_old_options_but_takes_the_live_keys() -> None:
    world = World(a=app(max_request_queue_size=5)).with_ready("a", 1)
    world.configure(a=app(max_request_queue_size=7, app_env="staging"))
    world.fail(why="syntax error")
    group = world.group("a")
    assert group.app.app_env == "production"
    assert group.app.max_request_queue_size == 7
    assert group.generation.number == 1
    assert group.restart is not None
    assert group.restart.error is group.last_error
    assert group.last_error is not None
    assert group.last_error.summary == "syntax error"
