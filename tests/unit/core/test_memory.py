"""Figures of processes: what is read, what is not readable, and how often anybody reads."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from passenger.core.memory import NOTHING, Usage, Usages, usage_of

STAT = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 12345 1000000 10 18446744073709551615"
ROLLUP = (
    "55e0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 12 kB\nPss: 7 kB\nPss_Dirty: 3 kB\nShared_Clean: 5 kB\n"
    "Private_Clean: 2 kB\nPrivate_Dirty: 3 kB\nPrivate_Hugetlb: 0 kB\n"
)


def made(proc: Path, pid: int, **files: str) -> None:
    (proc / str(pid)).mkdir()
    for name, text in files.items():
        (proc / str(pid) / name).write_text(text)


def test_the_figures_are_those_of_the_kernel(tmp_path: Path) -> None:
    """A name with spaces and brackets; a process of somebody else; one that has gone."""
    made(tmp_path, 7, stat=STAT, smaps_rollup=ROLLUP)
    made(tmp_path, 8, stat=STAT)
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert usage_of([7, 8, 9], proc=str(tmp_path)) == {
        7: Usage(rss=12 * 1024, pss=7 * 1024, private=5 * 1024, cpu_seconds=200 / tick),
        8: Usage(rss=10 * page, cpu_seconds=200 / tick),
        9: NOTHING,
    }


def test_this_process_has_figures() -> None:
    """On the real kernel."""
    usage = usage_of([os.getpid()])[os.getpid()]
    assert usage.rss is not None
    assert usage.pss is not None
    assert usage.private is not None
    assert 0 < usage.private <= usage.rss
    assert usage.pss <= usage.rss
    assert usage.cpu_seconds


def test_figures_are_kept_for_a_moment_and_the_work_is_shared() -> None:
    """Another question within the moment costs nothing, unless it is about somebody new."""
    now, looks = [0.0], []

    def look(pids: list[int]) -> dict[int, Usage]:
        looks.append(len(pids))
        return {pid: Usage(rss=pid) for pid in pids if pid != 3}

    async def scenario() -> None:
        usages = Usages(now=lambda: now[0], look=look)
        pids = list(range(1, 101))
        found = await usages.of(pids)
        assert (found[2], found[3]) == (Usage(rss=2), NOTHING)
        assert sum(looks) == 100
        looks.clear()
        now[0] = 0.9
        pids.remove(3)
        assert (await usages.of(pids))[100] == Usage(rss=100)
        assert not looks
        await usages.of([1, 200])
        assert looks == [2]
        now[0] = 2.0
        await usages.of([1])
        assert looks == [2, 1]

    asyncio.run(scenario())
