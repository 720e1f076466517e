"""The core's sign of life: when it beats, and the line for `systemctl status`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from passenger.core.heartbeat import BEAT, STARTING_BEAT, Heartbeat, summary
from passenger.wire.status import PoolStatus


class FakeLoop:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 50.0
        self.calls: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[..., None], *args: Any) -> FakeLoop:
        self.calls.append((when, call, args))
        return self

    def turn(self, late: float = 0.0) -> None:
        when, call, args = self.calls.pop()
        self.now = when + late
        call(*args)


class World:
    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.sent: list[dict[str, Any]] = []
        self.started = False
        self.heart = Heartbeat(
            loop=cast(Any, self.loop),
            send=lambda message: self.sent.append(dict(message)),
            is_started=lambda: self.started,
            pool=None,
        )
        self.heart.start()


def test_it_beats_at_once_and_then_every_few_seconds() -> None:
    world = World()
    assert world.sent == [{"event": "beat", "late": 0.0, "started": False, "text": ""}]
    world.started = True
    world.loop.turn()
    assert world.loop.now == 50.0 + STARTING_BEAT
    assert world.sent[-1]["started"], "said as soon as it is so"
    world.loop.turn()
    assert world.loop.now == 50.0 + STARTING_BEAT + BEAT
    assert len(world.sent) == 3


def test_looking_often_while_starting_is_not_beating_often() -> None:
    world = World()
    for _ in range(20):
        world.loop.turn()
    assert len(world.sent) == 1
    world.loop.now += BEAT
    world.loop.turn(late=BEAT)
    assert len(world.sent) == 2


def test_it_says_how_late_the_loop_was() -> None:
    world = World()
    world.started = True
    world.loop.turn()
    world.loop.turn(late=2.5)
    assert world.sent[-1]["late"] == 2.5


def pool(*groups: dict[str, Any], processes: int = 0, queue: int = 0) -> PoolStatus:
    whole = [{"spawning": 0, "last_error": None, "processes": [], **group} for group in groups]
    return cast(PoolStatus, {"groups": whole, "processes": processes, "queue": queue})


def test_the_line_names_what_there_is() -> None:
    assert summary(pool()) == "0 applications, 0 processes, 0 requests queued"
    found = summary(pool({"name": "a", "spawning": 1}, {"name": "b"}, processes=1, queue=1))
    assert found == "2 applications, 1 process (1 starting), 1 request queued"


def test_the_line_names_what_fails_but_not_without_end() -> None:
    failing = [{"name": name, "last_error": {"id": "x"}} for name in "abcde"]
    assert summary(pool(*failing)).endswith("; failing to start: a, b, c, ...")
    serving = {"name": "a", "last_error": {"id": "x"}, "processes": [{}]}
    assert "failing" not in summary(pool(serving)), "one start failed, and others serve"
