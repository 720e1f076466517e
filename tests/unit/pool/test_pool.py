"""The Pool around the decisions: callbacks, starts as tasks, processes that end, the report of a reload, the stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from passenger.config.model import App
from passenger.pool.check import check
from passenger.pool.limits import PoolLimits
from passenger.pool.pool import Pool
from passenger.pool.session import RefusalReason
from tests.support.pool import LogLines, RecordingWaiter, StillClock, StillFactory, StillProcess, app, limits, turn


@dataclass
class House:
    """A pool with everything around it."""

    loop: asyncio.AbstractEventLoop
    lines: LogLines
    clock: StillClock = field(default_factory=StillClock)
    factory: StillFactory = field(default_factory=StillFactory)
    pools: list[Pool] = field(default_factory=list)

    def pool(self, pool_limits: PoolLimits | None = None, **apps: App) -> Pool:
        pool = Pool(
            loop=self.loop,
            clock=self.clock,
            log=self.lines.log,
            factory=self.factory,
            limits=pool_limits or limits(),
            apps=apps,
            random=lambda: 0.5,
            check=True,
        )
        self.pools.append(pool)
        return pool

    def turn(self) -> None:
        turn(self.loop)

    def ready(self, name: str = "", *, concurrency: int | None = None) -> StillProcess:
        self.turn()
        process = self.factory.open_starts(name)[0].succeed(concurrency)
        self.turn()
        return process

    def fail(self, name: str = "", why: str = "it broke") -> None:
        self.turn()
        self.factory.open_starts(name)[0].fail(why)
        self.turn()


@pytest.fixture
def house() -> Iterator[House]:
    loop = asyncio.new_event_loop()
    lines = LogLines()
    house = House(loop, lines)
    yield house
    for pool in house.pools:
        check(pool._ledger)
        if pool._timer is not None:
            pool._timer.cancel()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    turn(loop)
    loop.close()
    lines.close()


def get(pool: Pool, name: str = "a") -> RecordingWaiter:
    waiter = RecordingWaiter(name)
    pool.get(name, waiter)
    return waiter


def test_grants_in_the_same_turn_when_a_process_is_free(house: House) -> None:
    """The hot path needs no turn of the loop."""
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    process = house.ready()
    waiter = get(pool)
    session = waiter.granted()
    assert session.process.pid == process.pid
    assert session.process.connect_password == "password"
    assert session.socket.address == process.sockets[0].address
    pool.release(session)
    assert pool.snapshot()["groups"][0]["processes"][0]["processed"] == 1


def test_releasing_twice_counts_once(house: House) -> None:
    pool = house.pool(a=app())
    waiter = get(pool)
    process = house.ready(concurrency=2)
    session = waiter.granted()
    pool.release(session)
    pool.release(session)
    pool.connection_failed(session, "late")
    assert not process.asked
    assert pool.snapshot()["groups"][0]["processes"][0]["sessions"] == 0


def test_an_unknown_application_is_refused(house: House) -> None:
    assert get(house.pool(), "nowhere").refused().reason is RefusalReason.UNKNOWN_APP


def test_a_spawn_error_reaches_who_waits_and_the_log(house: House) -> None:
    pool = house.pool(a=app())
    waiter = get(pool)
    house.fail(why="no such module: blog")
    refusal = waiter.refused()
    assert refusal.reason is RefusalReason.SPAWN_FAILED
    assert refusal.error is not None
    assert refusal.error.summary == "no such module: blog"
    assert refusal.retry_after == 1
    line = next(line for line in house.lines.read() if "next start after a wait" in line)
    assert "error_id=e1" in line
    assert "seconds=1.0" in line


def test_a_spawner_that_breaks_is_a_failed_start(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a spawner neither ends the pool nor leaves the start open for ever."""
    pool = house.pool(a=app())

    def broken(name: str, options: App) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(house.factory, "spawner_for", broken)
    waiter = get(pool)
    house.turn()
    error = waiter.refused().error
    assert error is not None
    assert error.category == "internal"
    assert "ZeroDivisionError: oops" in error.summary
    assert any(error.error_id in line and "Traceback" in line for line in house.lines.read())


def test_a_callback_that_raises_harms_nobody_else_and_gives_its_place_back(house: House) -> None:
    pool = house.pool(a=app(max_instances=1))
    first, second = get(pool), get(pool)

    def explode(waiter: RecordingWaiter) -> None:
        raise RuntimeError("client bug")

    first.on_answer = explode
    house.ready()
    assert second.session is not None
    assert any("client bug" in line for line in house.lines.read())


def test_a_callback_may_call_the_pool_again(house: House) -> None:
    """Each waiter releases at once within its callback: the queue runs through in order, without recursion."""
    pool = house.pool(a=app(max_instances=1, max_request_queue_size=0))
    order: list[str] = []

    def serve(waiter: RecordingWaiter) -> None:
        order.append(waiter.name)
        pool.release(waiter.granted())

    for number in range(2_000):
        waiter = RecordingWaiter(str(number))
        waiter.on_answer = serve
        pool.get("a", waiter)
    house.ready()
    assert order == [str(number) for number in range(2_000)]


def test_a_waiter_forgotten_by_another_ones_callback_is_not_called(house: House) -> None:
    """It has been given a session that nobody has told it about: the session goes back."""
    pool = house.pool(a=app(thread_count=2, max_instances=1))
    first, second = get(pool), get(pool)
    first.on_answer = lambda _: pool.forget(second)
    house.ready()
    assert first.session is not None
    assert second.answers == 0
    assert get(pool).session is not None


def test_a_forgotten_waiter_is_never_called(house: House) -> None:
    pool = house.pool(a=app())
    gone, kept = get(pool), get(pool)
    pool.forget(gone)
    pool.forget(gone)
    house.ready()
    assert gone.answers == 0
    assert kept.session is not None
    assert pool.snapshot()["groups"][0]["counters"]["departed_in_queue"] == 1


def test_a_process_that_ends_is_gone_at_once_and_replaced(house: House) -> None:
    """A1: its sessions may still be released later, its parked connections are closed, its files cleaned."""
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    process = house.ready()
    session = get(pool).granted()
    closed: list[str] = []

    class Parked:
        def close(self) -> None:
            closed.append("closed")

    session.socket.idle.append(Parked())
    house.clock.now += 60
    process.end(-9)
    house.turn()
    assert closed == ["closed"]
    assert process.asked == ["dispose"]
    assert len(house.factory.open_starts()) == 1
    pool.release(session)
    line = next(line for line in house.lines.read() if "ended unasked" in line)
    assert 'how="was killed by signal 9"' in line


def test_a_process_that_cannot_be_reached_is_replaced(house: House) -> None:
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    process = house.ready()
    house.clock.now += 60
    session = get(pool).granted()
    pool.connection_failed(session, "connection refused")
    assert process.asked == ["stop"]
    waiter = get(pool)
    replacement = house.ready()
    assert waiter.granted().process.pid == replacement.pid


def test_an_early_end_is_the_error_of_who_comes_next(house: House) -> None:
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    process = house.ready()
    house.clock.now += 0.3
    process.end(3)
    refusal = get(pool).refused()
    assert refusal.reason is RefusalReason.BACKING_OFF
    assert refusal.error is not None
    assert refusal.error.summary == f"process {process.pid} exited with status 3, 0.3 s after it was ready"
    last_error = pool.snapshot()["groups"][0]["last_error"]
    assert last_error is not None
    assert last_error["id"] == refusal.error.error_id


def test_reload_reports_and_rolls(house: House) -> None:
    pool = house.pool(a=app(min_instances=1), b=app(), c=app(), d=app())
    pool.start()
    old = house.ready("a")
    report = pool.apply(
        limits(5),
        {"a": app(min_instances=1, app_env="x"), "c": app(min_instances=0, max_instances=2), "d": app(), "e": app()},
    )
    assert report == {"added": ["e"], "removed": ["b"], "rolling": ["a"], "changed": ["c"], "unchanged": ["d"]}
    rolled = house.loop.create_task(pool.restarted(["a"], house.clock.now + 60))
    house.turn()
    assert not rolled.done()
    new = house.ready("a")
    assert rolled.result() == {}
    assert old.asked == ["stop"]
    assert get(pool).granted().process.pid == new.pid
    assert [spawner.app.app_env for spawner in house.factory.spawners if not spawner.is_closed] == ["x"]


def test_sessions_without_end_are_told_that_their_process_leaves(house: House) -> None:
    """Once, when the new process is ready; one that comes to its end within that call ends the old process."""

    class Chat:
        told = 0

        def process_leaves(self) -> None:
            self.told += 1
            pool.release(session)

    pool = house.pool(a=app(min_instances=1))
    pool.start()
    old = house.ready()
    session = get(pool).granted()
    chat = Chat()
    session.process.upgraded[chat] = None
    pool.apply(limits(), {"a": app(min_instances=1, app_env="x")})
    house.turn()
    assert (chat.told, session.process.takes_requests()) == (0, True)
    house.ready()
    assert (chat.told, session.process.takes_requests()) == (1, False)
    assert old.asked == ["stop"]


def test_a_roll_that_fails_is_reported_and_the_old_process_serves(house: House) -> None:
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    old = house.ready()
    pool.apply(limits(), {"a": app(min_instances=1, app_env="x")})
    rolled = house.loop.create_task(pool.restarted(["a"], house.clock.now + 60))
    house.fail(why="syntax error")
    assert rolled.result() == {"a": "syntax error"}
    assert get(pool).granted().process.pid == old.pid
    assert not old.asked
    assert any("its old processes keep serving" in line for line in house.lines.read())


def test_a_roll_that_takes_too_long_is_named(house: House) -> None:
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    house.ready()
    pool.apply(limits(), {"a": app(min_instances=1, app_env="x")})
    report = house.loop.run_until_complete(pool.restarted(["a"], house.clock.now))
    assert report == {"a": "its processes are still being replaced"}


def test_a_live_key_of_the_start_changes_the_spawner_in_place(house: House) -> None:
    """At once, for the start that is under way and for its preloader; nothing is closed or made anew."""
    pool = house.pool(limits(parallel=4), a=app(max_instances=2))
    get(pool)
    house.turn()
    pool.apply(limits(parallel=4), {"a": app(max_instances=2, start_timeout=5.0)})
    (spawner,) = house.factory.spawners
    assert spawner.app.start_timeout == 5.0
    first = house.ready()
    get(pool)
    house.turn()
    assert house.factory.spawners == [spawner]
    assert not spawner.is_closed
    assert not first.asked


def test_a_released_process_makes_room_at_once_for_an_application_that_has_none(house: House) -> None:
    pool = house.pool(limits(1), a=app(), b=app())
    first = get(pool, "a")
    process = house.ready("a")
    second = get(pool, "b")
    pool.release(first.granted())
    assert process.asked == ["stop"]
    house.ready("b")
    assert second.session is not None


def test_drain_waits_for_a_process_whose_start_could_not_be_called_off(house: House) -> None:
    """A spawner that has just finished may hand over its process in spite of the cancellation."""
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    house.turn()
    process = StillProcess()

    async def finished(start: Any) -> StillProcess:
        try:
            await start
        except asyncio.CancelledError:
            return process
        raise AssertionError("not called off")

    house.factory.open_starts()[0].fail()
    house.turn()
    house.clock.now += 2

    async def spawn() -> StillProcess:
        return await finished(house.loop.create_future())

    house.factory.spawners[0].spawn = spawn  # type: ignore[method-assign]
    pool.tick()
    house.turn()
    drained = house.loop.create_task(pool.drain(house.clock.now + 60))
    house.turn()
    assert process.asked == ["stop"]
    assert not drained.done()
    process.end()
    house.turn()
    assert drained.result() is True


def test_drain_waits_for_requests_and_for_processes(house: House) -> None:
    pool = house.pool(a=app(min_instances=1), b=app(min_instances=1))
    pool.start()
    process = house.ready("a")
    session = get(pool).granted()
    drained = house.loop.create_task(pool.drain(house.clock.now + 60))
    house.turn()
    assert get(pool).refused().reason is RefusalReason.STOPPING
    assert all(start.is_cancelled for start in house.factory.starts if start.spawner.name == "b")
    assert not drained.done()
    pool.release(session)
    assert process.asked == ["stop"]
    process.end()
    house.turn()
    assert drained.result() is True
    assert all(spawner.is_closed for spawner in house.factory.spawners)


def test_drain_kills_what_is_left_at_its_deadline(house: House) -> None:
    pool = house.pool(a=app(max_instances=1))
    first = get(pool)
    process = house.ready()
    second = get(pool)
    drained = house.loop.create_task(pool.drain(house.clock.now))
    house.turn()
    house.turn()
    assert second.refused().reason is RefusalReason.STOPPING
    assert process.asked == ["KILL"]
    process.end(-9)
    pool.release(first.granted())
    house.loop.run_until_complete(drained)
    assert drained.result() is False


def test_drain_of_an_empty_pool_returns(house: House) -> None:
    pool = house.pool()
    assert house.loop.run_until_complete(pool.drain(house.clock.now + 60)) is True
    assert house.loop.run_until_complete(pool.drain(house.clock.now + 60)) is True


def test_is_started_when_every_application_ran_or_failed(house: House) -> None:
    pool = house.pool(a=app(min_instances=2), b=app(min_instances=1), c=app())
    pool.start()
    assert not pool.is_started()
    house.ready("a")
    house.ready("a")
    assert not pool.is_started()
    house.fail("b")
    assert pool.is_started()


def test_is_started_when_the_pool_has_no_room_for_more(house: House) -> None:
    pool = house.pool(limits(1), a=app(min_instances=1), b=app(min_instances=1))
    pool.start()
    house.ready()
    assert pool.is_started()


def test_a_flood_of_refusals_is_one_line(house: House) -> None:
    pool = house.pool(a=app(max_request_queue_size=1))
    get(pool)
    assert {get(pool).refused().reason for _ in range(1_000)} == {RefusalReason.QUEUE_FULL}
    (told,) = [line for line in house.lines.read() if "queue full" in line]
    assert "503" not in told, "each application has its own status"
    assert pool.snapshot()["groups"][0]["counters"]["refused_queue_full"] == 1_000


def test_the_timer_runs_only_while_something_is_due(house: House) -> None:
    pool = house.pool(a=app(min_instances=1))
    pool.start()
    process = house.ready()
    pool.release(get(pool).granted())
    if pool._timer is not None:
        pool._timer.cancel()
        pool._on_timer()
    assert pool._timer is None
    house.clock.now += 60
    process.end()
    house.fail()
    assert pool._timer is not None


def test_snapshot_shows_the_pool(house: House) -> None:
    pool = house.pool(limits(4), a=app("/srv/a", max_instances=1, app_type="wsgi"))
    waiters = [get(pool) for _ in range(3)]
    process = house.ready()
    house.clock.now += 2.5
    status = pool.snapshot()
    assert waiters[0].session is not None
    assert (status["max_pool_size"], status["processes"], status["queue"], status["spawning"]) == (4, 1, 2, 0)
    (group,) = status["groups"]
    assert (group["name"], group["queue"], group["max_instances"], group["generation"]) == ("a", 2, 1, 1)
    assert group["counters"]["requests"] == 3
    (shown,) = group["processes"]
    assert shown["pid"] == process.pid
    assert (shown["state"], shown["sessions"], shown["uptime"], shown["idle_for"]) == ("enabled", 1, 2.5, 0.0)
    assert shown["rss"] is None


def test_a_process_with_several_sockets_uses_the_least_busy_one(house: House) -> None:
    pool = house.pool(a=app(max_instances=1))
    first = get(pool)
    house.turn()
    house.factory.open_starts()[0].outcome.set_result(StillProcess(sockets=(1, 2)))
    house.turn()
    used = [first.granted().socket.name, get(pool).granted().socket.name, get(pool).granted().socket.name]
    assert sorted(used) == ["s0", "s1", "s1"]
    assert used[:2] == ["s0", "s1"]
    assert not get(pool).answers


def test_no_request_is_lost_in_ten_thousand_idle_edges(house: House) -> None:
    """B12: each request arrives just as the only process may be stopped for idleness, before or after that."""
    pool = house.pool(limits(idle=0.05), a=app())
    waiter = get(pool)
    process = house.ready()
    pool.release(waiter.granted())
    stopped = 0
    for cycle in range(10_000):
        house.clock.now += 0.049 if cycle % 3 else 0.051
        waiter = RecordingWaiter()
        if cycle % 2:
            pool.get("a", waiter)
            pool.tick()
        else:
            pool.tick()
            pool.get("a", waiter)
        if process.asked:
            stopped += 1
            process.end()
            process = house.ready()
        pool.release(waiter.granted())
        assert waiter.answers == 1
    assert 1_000 < stopped < 4_000
