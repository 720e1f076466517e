"""The event loop of an ASGI process, from its making to its end."""

from __future__ import annotations

import asyncio

from passenger_loader.talk import say

from .server import Server

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def serve(load: Callable[[], Any], options: Mapping[str, str]) -> int:
    """Serve what `load` returns, which runs inside the event loop as uvicorn does it; returns the exit status.

    Raises Explanation when there is nothing to serve.
    """
    loop = new_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_serve(load, options))
    finally:
        finish(loop)


async def _serve(load: Callable[[], Any], options: Mapping[str, str]) -> int:
    concurrency = int(options.get("max_concurrent_requests") or 0)

    def announce(path: str) -> None:
        say("\n!> Ready\n!> socket: main;unix:%s;http_session;%d\n!> \n" % (path, concurrency))

    return await Server(load(), options).run(announce)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, if the application's environment has it."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def finish(loop: asyncio.AbstractEventLoop) -> None:
    """What asyncio.run does at its end: whatever still runs is cancelled, generators and threads are shut down."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        if hasattr(loop, "shutdown_default_executor"):  # Python 3.9
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
