"""Memory and CPU of application processes for `status`: read off the loop, only when somebody asks.

PSS counts a page that n processes share as 1/n, so the figures of forked workers add up; private is what would be
freed if the process ended. Both are None where the kernel does not let us read them (fault matrix D12).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes and seconds; None = unknown."""

    rss: int | None = None
    pss: int | None = None
    private: int | None = None
    cpu_seconds: float | None = None


def usage_of(pids: Iterable[int]) -> dict[int, Usage]:
    """What each process uses. Blocks on /proc: call it in a thread."""
    import psutil

    found = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                cpu = times.user + times.system
                rss = process.memory_info().rss
                try:
                    full = process.memory_full_info()
                    found[pid] = Usage(rss=rss, pss=full.pss, private=full.uss, cpu_seconds=cpu)
                except psutil.AccessDenied:
                    found[pid] = Usage(rss=rss, cpu_seconds=cpu)
        except psutil.Error:
            found[pid] = Usage()
    return found
