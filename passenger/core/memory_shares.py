"""Memory of many processes at a bounded cost: a look reads as many as BUDGET allows, those first that waited longest.

The kernel takes 0.1 to 1 ms to tell the memory of one process. Of a few dozen processes each look gives fresh figures;
of hundreds some are older, and `age` says how old the oldest is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final

from passenger.core.memory import Usage, usage_of

BUDGET: Final = 0.02
"""CPU seconds of a look."""


class MemoryShares:
    """Figures by pid, each with the time at which it was read."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
        look: Callable[[list[int]], dict[int, Usage]] = usage_of,
    ) -> None:
        self.cpu_seconds = 0.0
        """What the latest look has cost."""
        self._now = now
        self._cpu = cpu
        self._look = look
        self._known: dict[int, tuple[float, Usage]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def of(self, pids: Collection[int]) -> dict[int, Usage]:
        """What is known of these processes, after a look at some."""
        async with self._one_at_a_time:
            return await self._of(pids)

    async def _of(self, pids: Collection[int]) -> dict[int, Usage]:
        known = {pid: self._known[pid] for pid in pids if pid in self._known}
        oldest_first = sorted(pids, key=lambda pid: known[pid][0] if pid in known else 0.0)
        fresh = await asyncio.get_running_loop().run_in_executor(None, self._read, oldest_first)
        self._known = known | fresh
        return {pid: usage for pid, (_, usage) in self._known.items()}

    def age(self) -> float:
        """Seconds since the oldest figure was read."""
        now = self._now()
        return max((now - at for at, _ in self._known.values()), default=0.0)

    def _read(self, pids: list[int]) -> dict[int, tuple[float, Usage]]:
        """In a thread."""
        began = self._cpu()
        found = {}
        for pid in pids:
            found[pid] = (self._now(), self._look([pid])[pid])
            self.cpu_seconds = self._cpu() - began
            if self.cpu_seconds >= BUDGET:
                break
        return found
