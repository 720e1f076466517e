"""Out-of-band work: who may go when, and what becomes of a process that does."""

from __future__ import annotations

from passenger.pool import events as ev
from tests.support.pool import app
from tests.support.poolworld import World


class Tunnel:
    """A session without an end."""

    def process_leaves(self) -> None:
        raise AssertionError("out-of-band work ends none")


def ask(world: World, process: str) -> list[str]:
    return world.do(ev.ErrandAsked(world.processes[process]))


def over(world: World, process: str) -> list[str]:
    return world.do(ev.ErrandOver(world.processes[process]))


def test_goes_when_it_has_finished_and_takes_no_request_meanwhile() -> None:
    world = World(a=app(max_instances=2), size=2).with_ready("a", 2)
    assert world.arrive("a", "w1") == ["grant w1 p2"]
    assert ask(world, "p2") == []
    assert world.arrive("a", "w2", "w3") == ["grant w2 p1"]
    assert world.release("w1") == ["errand p2"]
    assert over(world, "p2") == ["grant w3 p2"]
    assert over(world, "p2") == []


def test_one_at_a_time() -> None:
    world = World(a=app(max_instances=3), size=3).with_ready("a", 3)
    assert ask(world, "p1") == ["errand p1"]
    assert ask(world, "p2") == []
    assert over(world, "p1") == ["errand p2"]


def test_the_only_one_goes_when_nobody_needs_it() -> None:
    world = World(a=app(max_instances=1), size=1).with_ready("a", 1)
    world.arrive("a", "w1", "w2")
    assert ask(world, "p1") == []
    assert world.release("w1") == ["grant w2 p1"]
    assert world.release("w2") == ["errand p1"]
    assert world.arrive("a", "w3") == []
    assert over(world, "p1") == ["grant w3 p1"]


def test_what_the_short_cuts_of_the_pool_miss_is_found_by_the_next_tick() -> None:
    world = World(a=app(max_instances=1), size=1).with_ready("a", 1)
    world.arrive("a", "w1")
    ask(world, "p1")
    session = world.sessions.pop("w1")
    session.socket.sessions -= 1
    world.group("a").places.give_back(session.process, world.now)
    assert world.tick(1.0) == ["errand p1"]


def test_none_are_allowed() -> None:
    world = World(a=app(max_out_of_band_work_instances=0)).with_ready("a", 2)
    assert ask(world, "p1") == []
    assert world.tick(60) == []


def test_a_process_that_is_replaced_anyway_goes_nowhere() -> None:
    world = World(a=app(max_instances=2), size=2).with_ready("a", 2)
    world.outlived("p1")
    assert ask(world, "p1") == []
    assert not world.group("a").errands


def test_a_restart_meanwhile_replaces_it_when_it_comes_back() -> None:
    world = World(a=app(max_instances=2), size=2).with_ready("a", 2)
    assert ask(world, "p1") == ["errand p1"]
    world.restart("a")
    told = world.ready()
    assert "retire p2: replaced" in told
    assert "restart of a done" in told
    assert "retire p1: replaced" in over(world, "p1")


def test_it_serves_as_an_old_one_while_the_restart_goes_on() -> None:
    world = World(a=app(max_instances=2), size=2).with_ready("a", 2)
    ask(world, "p1")
    world.restart("a")
    assert over(world, "p1") == []
    assert set(world.group("a").outdated) == {world.processes["p1"], world.processes["p2"]}
    assert world.arrive("a", "w1", "w2") != []


def test_its_end_and_that_of_the_instance_are_as_ever() -> None:
    world = World(a=app(max_instances=2), size=2).with_ready("a", 2)
    ask(world, "p1")
    assert "dispose p1" in world.exit("p1")
    assert over(world, "p1") == []
    ask(world, "p2")
    assert "stop p2" in world.stop()
    assert over(world, "p2") == []


def test_what_does_not_end_is_waited_for_so_long_and_then_the_process_serves_again() -> None:
    world = World(a=app(max_instances=2, out_of_band_work_timeout=20.0), size=2).with_ready("a", 2)
    assert world.arrive("a", "w1") == ["grant w1 p2"]
    assert ask(world, "p2") == []
    assert world.tick(19.0) == []
    assert world.arrive("a", "w2", "w3") == ["grant w2 p1"]
    assert world.tick(1.0) == ["no errand p2"]
    assert world.release("w1") == ["grant w3 p2"]
    assert world.release("w3") == []
    assert not world.group("a").errands
    assert world.tick(1.0) == []
    assert not world.ledger.wishing


def test_websockets_are_no_reason_to_wait() -> None:
    world = World(a=app(max_instances=1, thread_count=8), size=1).with_ready("a", 1)
    world.arrive("a", "chat", "w1")
    world.processes["p1"].upgraded[Tunnel()] = None
    assert ask(world, "p1") == []
    assert world.release("w1") == ["errand p1"]
    assert world.release("chat") == []
    assert world.arrive("a", "w2") == []
    assert over(world, "p1") == ["grant w2 p1"]


def test_one_that_becomes_a_websocket_while_it_is_waited_for_is_noticed_by_the_next_tick() -> None:
    world = World(a=app(max_instances=2, thread_count=8), size=2).with_ready("a", 2)
    world.arrive("a", "chat")
    assert ask(world, "p2") == []
    world.processes["p2"].upgraded[Tunnel()] = None
    assert world.tick(1.0) == ["errand p2"]
    assert world.tick(100.0) == []
    assert over(world, "p2") == []
    assert world.arrive("a", "w1", "w2", "w3") == ["grant w1 p1", "grant w2 p1", "grant w3 p2"]
