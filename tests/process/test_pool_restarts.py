"""Restarts with real processes: new code is taken up, broken code is not, health is asked for, one process is let go."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from passenger.clock import SystemClock
from passenger.config.model import App
from passenger.log import Log
from passenger.pool.limits import PoolLimits
from passenger.pool.pool import Pool
from passenger.pool.session import Refusal, Session
from passenger.request.healthcheck import check_health
from passenger.spawn.factory import AppSpawnerFactory
from passenger.wire.status import GroupStatus, RestartStatus
from tests.support.spawning import Place, descriptors, place, run

HEALTH = """
import pathlib
STATUS = pathlib.Path(__file__).with_name("health").read_text()
ASKED = []
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    ASKED.append(environ)
    start_response(STATUS, [("Content-Type", "text/plain")])
    return [b"x" * 70000]
"""

SERVER = """
import http.server, os, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204 if self.path == "/app/health?deep=1" and self.headers["Host"] == "shop.test" else 404)
        self.end_headers()
http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""

DIES = """
import os
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    os._exit(7)
"""


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


class Shop:
    """A started pool of one application called blog."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def session(self) -> Session:
        answer: asyncio.Future[Session | Refusal] = asyncio.get_running_loop().create_future()

        class Request:
            def session_granted(self, session: Session) -> None:
                answer.set_result(session)

            def session_refused(self, refusal: Refusal) -> None:
                answer.set_result(refusal)

        self.pool.get("blog", Request())
        async with asyncio.timeout(20):
            granted = await answer
        assert isinstance(granted, Session), granted
        return granted

    async def pid(self) -> int:
        """Who serves."""
        session = await self.session()
        self.pool.release(session)
        return session.process.pid

    async def restarted(self) -> dict[str, str]:
        assert self.pool.restart(["blog"], why="the test") == ["blog"]
        return await self.pool.restarted(["blog"], SystemClock().monotonic() + 30)

    def group(self) -> GroupStatus:
        return self.pool.snapshot()["groups"][0]

    def restart(self) -> RestartStatus:
        restart = self.group()["restart"]
        assert restart is not None
        return restart


async def first_stream() -> None:
    """The loop keeps a descriptor in reserve from its first stream on."""
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    writer.close()
    await writer.wait_closed()
    theirs.close()


@asynccontextmanager
async def shop(here: Place, app: App) -> AsyncIterator[Shop]:
    """At the end the pool is drained and must leave no process, socket or descriptor."""
    loop, clock, log = asyncio.get_running_loop(), SystemClock(), Log(component="core", fd=here.log_fd)
    await first_stream()
    before = descriptors(os.getpid())
    pool = Pool(
        loop=loop,
        clock=clock,
        log=log.child("pool"),
        factory=AppSpawnerFactory(context=here.context(), loop=loop, clock=clock, log=log),
        limits=PoolLimits(max_pool_size=4, pool_idle_time=300.0, max_parallel_spawns=2),
        apps={"blog": app},
        random=random.random,
        check_health=check_health,
        check=True,
    )
    pool.start()
    try:
        yield Shop(pool)
    finally:
        is_clean = await pool.drain(clock.monotonic() + 20)
    assert is_clean
    assert here.socket_names() == []
    assert descriptors(os.getpid()) <= before


def rewrite(app: App, text: str, name: str = "passenger_wsgi.py") -> None:
    Path(app.app_root, name).write_text(text)


@pytest.mark.parametrize("method", ["smart", "direct"])
def test_new_code_is_taken_up_and_broken_code_is_not(here: Place, method: str) -> None:
    """B4: the old process serves while the new one fails, and one that is needed meanwhile is forked from the old code."""

    async def deploys() -> None:
        app = here.app("blog", min_instances=1, spawn_method=method)
        async with shop(here, app) as blog:
            first = await blog.pid()
            assert await blog.restarted() == {}
            second = await blog.pid()
            assert second != first
            rewrite(app, "def application(:\n")
            assert "SyntaxError" in (await blog.restarted())["blog"]
            assert await blog.pid() == second
            assert blog.restart()["state"] == "failed"
            if method == "smart":
                busy, more = await blog.session(), await blog.session()
                assert more.process.pid != busy.process.pid == second
                blog.pool.release(busy)
                blog.pool.release(more)
            rewrite(app, "def application(environ, start_response): return []\n")
            assert await blog.restarted() == {}
            assert await blog.pid() != second
            assert {process["outdated"] for process in blog.group()["processes"]} == {False}

    run(deploys())


def test_a_blocking_restart_lets_requests_wait(here: Place) -> None:
    async def blocks() -> None:
        app = here.app("blog", min_instances=1, restart_method="blocking")
        async with shop(here, app) as blog:
            old = await blog.session()
            blog.pool.restart(["blog"], why="the test")
            assert not old.process.takes_requests()
            new = await blog.session()
            assert new.process.pid != old.process.pid
            blog.pool.release(old)
            blog.pool.release(new)
            assert await blog.pool.restarted(["blog"], SystemClock().monotonic() + 30) == {}

    run(blocks())


def test_a_process_serves_only_when_it_is_healthy(here: Place) -> None:
    """Over the session protocol. A redirect is healthy; what is not is ended, and the reason told."""

    async def asks() -> None:
        files = {"passenger_wsgi.py": HEALTH, "health": "301 Moved"}
        app = here.app("blog", files, min_instances=1, health_path="/up", health_timeout=0.5)
        async with shop(here, app) as blog:
            first = await blog.pid()
            rewrite(app, "500 No", "health")
            failed = await blog.restarted()
            assert "is not healthy: GET /up was not answered well within 0.5 seconds: status 500" in failed["blog"]
            assert await blog.pid() == first
            assert [process["pid"] for process in blog.group()["processes"]] == [first]
            rewrite(app, "200 OK", "health")
            assert await blog.restarted() == {}

    run(asks())


def test_health_is_asked_over_http_with_base_uri_and_name(here: Place) -> None:
    async def asks() -> None:
        app = here.app(
            "blog",
            {"server.py": SERVER},
            min_instances=1,
            app_type="generic",
            app_start_command=f"exec {here.python} server.py",
            base_uri="/app",
            server_names=("*.shop.test", "shop.test"),
            health_path="/health?deep=1",
            health_timeout=10.0,
        )
        async with shop(here, app) as blog:
            await blog.pid()

    run(asks())


def test_a_process_that_dies_of_the_question_is_told_at_once(here: Place) -> None:
    async def dies() -> None:
        app = here.app("blog", min_instances=1)
        async with shop(here, app) as blog:
            first = await blog.pid()
            rewrite(app, DIES)
            blog.pool.apply(
                blog.pool._ledger.limits, {"blog": here.app("blog", {}, health_path="/", health_timeout=60.0)}
            )
            failed = await blog.restarted()
            assert "is not healthy: it exited with status 7" in failed["blog"]
            assert await blog.pid() == first

    run(dies())


def test_a_step_that_takes_too_long_is_a_failure(here: Place) -> None:
    """Bounded as a whole: a preloader that loads for long and a fork that is slow do not add up."""

    async def is_slow() -> None:
        app = here.app("blog", min_instances=1, spawn_method="smart")
        async with shop(here, app) as blog:
            first = await blog.pid()
            slow = "import os, threading\nif os.path.exists('slow'): threading.Event().wait()\n"
            rewrite(app, slow)
            rewrite(app, "", "slow")
            changed = here.app("blog", {}, min_instances=1, start_timeout=0.4, health_timeout=0.1)
            blog.pool.apply(blog.pool._ledger.limits, {"blog": changed})
            assert set(await blog.restarted()) == {"blog"}
            assert await blog.pid() == first

    run(is_slow())


def test_a_process_is_let_go_and_the_only_one_is_replaced_first(here: Place) -> None:
    async def lets_go() -> None:
        app = here.app("blog", min_instances=1)
        async with shop(here, app) as blog:
            old = await blog.session()
            process = old.process
            assert blog.pool.detach(process) == "replaced first"
            assert process.takes_requests(), "until the other one is ready"
            assert not await blog.pool.gone(process, SystemClock().monotonic())
            until = blog.pool._conditions.until
            assert await until(lambda: not process.takes_requests(), SystemClock().monotonic() + 20)
            assert blog.pool.detach(process) == "leaving already"
            blog.pool.release(old)
            assert await blog.pool.gone(process, SystemClock().monotonic() + 20)
            one, two = await blog.session(), await blog.session()
            assert blog.pool.detach(two.process) == "withdrawn"
            for session in (one, two):
                blog.pool.release(session)
            assert await blog.pool.gone(two.process, SystemClock().monotonic() + 20)

    run(lets_go())
