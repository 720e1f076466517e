"""Memory and CPU of application processes for `status`: read off the loop, only when somebody asks.

PSS counts a page that n processes share as 1/n, so the figures of forked workers add up; private is what would be
freed if the process ended. Both are None where the kernel does not let us read them (fault matrix D12).

Rules.
1. Two files of /proc are read per process, by hand: psutil asks for more, and costs half as much again. It is the
   kernel that takes long (0.3 ms a process, for PSS), without the interpreter's lock: threads share the work.
2. Who asks again within FRESH gets the same figures: a screen that is drawn often, or many monitors, cost no more.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Final

from passenger.lazy_dataclass import dataclass

FRESH: Final = 1.0
"""Seconds."""
SHARES: Final = 4
"""Threads at most."""
FEW: Final = 16
"""Processes for which a second thread is not worth it."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes and seconds; None = unknown."""

    rss: int | None = None
    pss: int | None = None
    private: int | None = None
    cpu_seconds: float | None = None


NOTHING: Final = Usage()


def usage_of(pids: Iterable[int], *, proc: str = "/proc") -> dict[int, Usage]:
    """What each process uses. Blocks on /proc: call it in a thread."""
    return {pid: _look(f"{proc}/{pid}") for pid in pids}


class Usages:
    """Figures of processes, at most FRESH old."""

    def __init__(
        self,
        *,
        executor: Executor | None = None,
        now: Callable[[], float] = time.monotonic,
        look: Callable[[list[int]], dict[int, Usage]] = usage_of,
    ) -> None:
        self._executor = executor
        self._now = now
        self._look = look
        self._known: dict[int, Usage] = {}
        self._known_at = -FRESH

    async def of(self, pids: list[int]) -> dict[int, Usage]:
        """Each of these processes, NOTHING for one that has gone."""
        if self._now() - self._known_at >= FRESH or not self._known.keys() >= set(pids):
            loop = asyncio.get_running_loop()
            shares = max(1, min(SHARES, len(pids) // FEW, os.cpu_count() or 1))
            parts = [pids[number::shares] for number in range(shares)]
            found = await asyncio.gather(*(loop.run_in_executor(self._executor, self._look, part) for part in parts))
            self._known = {pid: usage for part in found for pid, usage in part.items()}
            self._known_at = self._now()
        return {pid: self._known.get(pid, NOTHING) for pid in pids}


def own_resident() -> int:
    """Bytes of this process in memory: without a look at every page, as /proc has it at hand."""
    return int(_read("/proc/self/statm").split()[1]) * _PAGE


def _look(folder: str) -> Usage:
    try:
        stat = _read(f"{folder}/stat")
    except OSError:
        return NOTHING
    fields = stat[stat.rindex(b")") + 2 :].split()
    cpu = (int(fields[11]) + int(fields[12])) / _TICK
    try:
        sizes = _sizes(_read(f"{folder}/smaps_rollup"))
    except OSError:  # another user's, or it ended just now
        sizes = {}
    return Usage(
        rss=sizes.get(b"Rss", int(fields[21]) * _PAGE),
        pss=sizes.get(b"Pss"),
        private=sum(size for name, size in sizes.items() if name.startswith(b"Private_")) if sizes else None,
        cpu_seconds=cpu,
    )


def _sizes(rollup: bytes) -> dict[bytes, int]:
    """`Rss:  12 kB` -> bytes. The first line is the address range."""
    rows = (line.partition(b":") for line in rollup.splitlines()[1:])
    return {name: int(value.split()[0]) * _KIB for name, _, value in rows}


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 8192)
    finally:
        os.close(descriptor)
