"""The pool with real processes: killed ones are replaced, new configurations roll, a stop leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from passenger.clock import SystemClock
from passenger.config.model import App
from passenger.log import Log
from passenger.pool.limits import PoolLimits
from passenger.pool.pool import Pool
from passenger.pool.session import Refusal, RefusalReason, Session
from passenger.spawn.factory import AppSpawnerFactory
from passenger.wire.status import ProcessStatus
from tests.support.spawning import Place, descriptors, place, run


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


class Request:
    """A waiter whose answer can be awaited; `order` gets every waiter when it is answered."""

    def __init__(self, order: list[Request] | None = None) -> None:
        self.answer: asyncio.Future[Session | Refusal] = asyncio.get_running_loop().create_future()
        self._order = [] if order is None else order

    def session_granted(self, session: Session) -> None:
        self._order.append(self)
        self.answer.set_result(session)

    def session_refused(self, refusal: Refusal) -> None:
        self._order.append(self)
        self.answer.set_result(refusal)


async def answer(pool: Pool, name: str = "blog") -> Session | Refusal:
    request = Request()
    pool.get(name, request)
    async with asyncio.timeout(20):
        return await request.answer


async def session(pool: Pool) -> Session:
    granted = await answer(pool)
    assert isinstance(granted, Session), granted
    return granted


@asynccontextmanager
async def running_pool(here: Place, *, idle: float = 300.0, **apps: App) -> AsyncIterator[Pool]:
    """A started pool; at the end it is drained and must leave no process, socket or descriptor."""
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    log = Log(component="core", fd=here.log_fd)
    before = descriptors(os.getpid())
    factory = AppSpawnerFactory(context=here.context(), loop=loop, clock=clock, log=log)
    pool_limits = PoolLimits(max_pool_size=4, pool_idle_time=idle, max_parallel_spawns=2)
    pool = Pool(
        loop=loop,
        clock=clock,
        log=log.child("pool"),
        factory=factory,
        limits=pool_limits,
        apps=apps,
        random=random.random,
        check=True,
    )
    pool.start()
    try:
        yield pool
    finally:
        is_clean = await pool.drain(clock.monotonic() + 20)
    assert is_clean
    assert here.socket_names() == []
    assert descriptors(os.getpid()) <= before


def processes(pool: Pool) -> list[ProcessStatus]:
    return pool.snapshot()["groups"][0]["processes"]


async def ended(pid: int) -> None:
    """Wait until a process is dead."""
    fd = os.pidfd_open(pid)
    event = asyncio.Event()
    asyncio.get_running_loop().add_reader(fd, event.set)
    try:
        async with asyncio.timeout(10):
            await event.wait()
    finally:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)


def test_a_killed_process_is_replaced_and_a_stop_leaves_nothing(here: Place) -> None:
    """A1: the replacement is on its way at once; nobody who asks meanwhile fails."""

    async def life() -> None:
        async with running_pool(here, blog=here.app("blog", min_instances=1, max_instances=1)) as pool:
            first = await session(pool)
            pid = first.process.pid
            first.process.started_at -= 60  # it has lived: its end is no failed start
            pool.release(first)
            os.kill(pid, signal.SIGKILL)
            await ended(pid)
            second = await session(pool)
            while second.process.pid == pid:  # the pool's turn to see the end may come after ours
                pool.connection_failed(second, "it is dead")
                second = await session(pool)
            pool.release(second)
            assert [process["pid"] for process in processes(pool)] == [second.process.pid]
            assert pool.snapshot()["groups"][0]["counters"]["exits"] == 1

    run(life())


def test_a_thousand_requests_for_a_cold_application_cause_one_start_at_a_time(here: Place) -> None:
    """B9: all are answered in order, the queue's bound holds, never more processes than allowed."""

    async def herd() -> None:
        app = here.app("blog", min_instances=0, max_instances=2, max_request_queue_size=800)
        async with running_pool(here, blog=app) as pool:
            order: list[Request] = []
            requests = [Request(order) for _ in range(1_000)]
            for request in requests:
                pool.get("blog", request)
            assert pool.snapshot()["spawning"] == 1
            refused = [request for request in requests if request.answer.done()]
            assert refused == requests[800:]
            async with asyncio.timeout(60):
                for request in requests[:800]:
                    granted = await request.answer
                    assert isinstance(granted, Session)
                    pool.release(granted)
            assert order == requests[800:] + requests[:800]
            assert pool.snapshot()["groups"][0]["counters"]["spawns"] <= 2

    run(herd())


def test_a_broken_application_is_refused_fast_and_heals_when_mended(here: Place) -> None:
    """B3: one start for a hundred requests, the error is the application's own; after the fix it serves."""

    async def life() -> None:
        app = here.app("blog", {"passenger_wsgi.py": "def application(:\n"}, min_instances=0)
        async with running_pool(here, blog=app) as pool:
            answers = await asyncio.gather(*(answer(pool) for _ in range(100)))
            for refusal in answers:
                assert isinstance(refusal, Refusal)
                assert refusal.reason is RefusalReason.SPAWN_FAILED
                assert refusal.error is not None
                assert "SyntaxError" in refusal.error.output
            again = await answer(pool)
            assert isinstance(again, Refusal)
            assert again.reason is RefusalReason.BACKING_OFF
            assert pool.snapshot()["groups"][0]["counters"]["spawns"] == 1
            mended = here.app("blog", min_instances=0)
            pool.apply(pool._ledger.limits, {"blog": mended})
            pool.release(await session(pool))

    run(life())


def test_a_new_configuration_replaces_the_process_without_a_gap(here: Place) -> None:
    async def life() -> None:
        app = here.app("blog", min_instances=1)
        async with running_pool(here, blog=app) as pool:
            old = await session(pool)
            changed = here.app("blog", min_instances=1, env={"COLOUR": "green"})
            assert pool.apply(pool._ledger.limits, {"blog": changed})["rolling"] == ["blog"]
            assert await pool.restarted(["blog"], SystemClock().monotonic() + 20) == {}
            new = await session(pool)
            assert new.process.pid != old.process.pid
            assert {process["state"] for process in processes(pool)} == {"enabled", "draining"}
            pool.release(old)
            await ended(old.process.pid)
            pool.release(new)

    run(life())


def test_a_new_configuration_that_does_not_start_leaves_the_old_process_serving(here: Place) -> None:
    async def life() -> None:
        app = here.app("blog", min_instances=1)
        async with running_pool(here, blog=app) as pool:
            old = await session(pool)
            pool.release(old)
            broken = here.app("blog", min_instances=1, startup_file="missing.py")
            pool.apply(pool._ledger.limits, {"blog": broken})
            given_up = await pool.restarted(["blog"], SystemClock().monotonic() + 20)
            assert "missing.py" in given_up["blog"]
            again = await session(pool)
            assert again.process.pid == old.process.pid
            pool.release(again)

    run(life())


def test_an_idle_process_is_stopped_by_the_timer(here: Place) -> None:
    """The one-second timer runs by itself, on the real clock."""

    async def life() -> None:
        app = here.app("blog", min_instances=0)
        async with running_pool(here, idle=0.05, blog=app) as pool:
            used = await session(pool)
            gone = asyncio.create_task(ended(used.process.pid))
            pool.release(used)
            await gone

    run(life())


def test_a_stop_while_processes_start_leaves_nothing(here: Place) -> None:
    """The starts are called off; `running_pool` checks what is left."""

    async def life() -> None:
        async with running_pool(here, a=here.app("a", min_instances=2), b=here.app("b", min_instances=1)):
            pass

    run(life())
