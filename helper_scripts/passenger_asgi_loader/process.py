"""The event loop of an ASGI process, from its making to its end, and what can be prepared before there is one."""

from __future__ import annotations

import asyncio
import os
import sys

from passenger_loader.control import announced
from passenger_loader.talk import say

from .engine import Engine
from .front import Front
from .server import Server

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Prepared:
    """A loaded application and the uvicorn for it: all that processes forked from here can share."""

    def __init__(self, app: Any, options: Mapping[str, str]) -> None:
        """Raises Explanation when there is no uvicorn that works."""
        self.app = app
        self.front = Front(app, options.get("base_uri", ""))
        self.engine = Engine(self.front, options.get("uvicorn_path", ""))


def serve(prepare: Callable[[], Prepared], options: Mapping[str, str]) -> int:
    """Serve what `prepare` returns; returns the exit status. Raises Explanation when there is nothing to serve.

    `prepare` runs inside the event loop, so that an application that is loaded there finds it, as under uvicorn.
    """
    loop = loop_factory()()
    asyncio.set_event_loop(loop)
    status = loop.run_until_complete(_serve(prepare, options))
    finish(loop)
    return status


async def _serve(prepare: Callable[[], Prepared], options: Mapping[str, str]) -> int:
    concurrency = int(options.get("max_concurrent_requests") or 0)

    def announce(path: str) -> None:
        place = "!> socket: main;unix:%s;http_session;%d\n" % (path, concurrency)
        say(announced(place, options.get("interrupts"), prepared.front.errands.expect(options)))

    prepared = prepare()
    server = Server(prepared.app, prepared.engine, options)
    status = await server.run(announce)
    if server.has_cut:  # somebody hangs, perhaps in a thread, for which an orderly end would wait
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, if the application's environment has it."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def finish(loop: asyncio.AbstractEventLoop) -> None:
    """What asyncio.run does at its end: whatever still runs is cancelled, generators and threads are shut down."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(_ended(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        if hasattr(loop, "shutdown_default_executor"):  # Python 3.9
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
