"""Has a process do its out-of-band work: one request over a connection of its own, then waits for any answer.

Rules.
1. With the connect password, so no client can ask for it. Over HTTP only a process whose loader has announced that it
   knows the request gets it (`Process.takes_errands`): to the server of others it would be a request like any.
2. Parked connections are closed first: a process with one thread waits on them for its next request.
3. However it ends, the pool is told once, at most `out_of_band_work_timeout` later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from passenger.clock import Clock
from passenger.log import Log
from passenger.request.connecting import ConnectError, connect
from passenger.wire import errand

if TYPE_CHECKING:
    from passenger.pool.model import Process


class Errands:
    """`Pool.errand_runner` is its `run`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, log: Log) -> None:
        self._loop = loop
        self._clock = clock
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, process: Process, over: Callable[[], None]) -> None:
        """Begin; `over` is called later."""
        task = self._loop.create_task(self._run(process, over))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, process: Process, over: Callable[[], None]) -> None:
        limit, began = process.group.app.out_of_band_work_timeout, self._clock.monotonic()
        about = {"app": process.group.name, "pid": process.pid}
        try:
            async with asyncio.timeout(limit):
                await _ask(process)
        except TimeoutError:
            self._log.warn("out-of-band work takes too long: the process takes requests again", **about, limit=limit)
        except (OSError, ConnectError) as error:
            self._log.warn("out-of-band work could not be asked for", **about, reason=str(error))
        else:
            self._log.info("out-of-band work done", **about, seconds=round(self._clock.monotonic() - began, 3))
        finally:
            over()


async def _ask(process: Process) -> None:
    process.close_parked()
    reader, writer = await asyncio.open_connection(sock=connect(process, process.sockets[0]))
    try:
        writer.write(errand.request(process.sockets[0].protocol, process.connect_password.encode()))
        await reader.read(1)
    finally:
        writer.close()
