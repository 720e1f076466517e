"""Things that somebody waits for: looked at after every decision, given up at a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from passenger.clock import Clock


class Conditions:
    """False while nobody waits, so that asking costs a step nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._now = clock.monotonic
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def until(self, is_so: Callable[[], bool], deadline: float) -> bool:
        """Wait until it is so, at most until `deadline` (monotonic); returns whether it is."""
        if is_so():
            return True
        future: asyncio.Future[None] = self._loop.create_future()
        waiting = (is_so, future)
        self._waiting.append(waiting)
        try:
            await asyncio.wait_for(future, max(0.0, deadline - self._now()))
        except TimeoutError:
            return is_so()
        finally:
            self._waiting.remove(waiting)
        return True

    def look(self) -> None:
        """Something may have changed."""
        for is_so, future in self._waiting:
            if not future.done() and is_so():
                future.set_result(None)
