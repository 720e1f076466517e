"""How much memory processes take: cheap looks at many, exact looks at the few that may be beyond a limit.

The figure is what would be free without the process: private pages plus its share of swapped ones. Pages that a
forked process shares with its preloader are not its own. Where the kernel does not tell that (`smaps_rollup`), it is
the resident size.

An exact look walks the page tables (0.2 to 10 ms); the resident size costs 6 us and is never less than the private
pages in memory. So a process below its limit by its resident size needs no exact look while nothing of it is swapped;
nor does one above it that has had no page fault since the last exact look, for every page that becomes its own is one.

Rules.
1. Blocks on /proc: to be called in a thread.
2. Only files of the kernel are read; a process that is gone, or hidden (hidepid), has no figure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REFRESH: Final = 60.0
"""Seconds after which an exact figure is old: what others share, or what is swapped, may have changed by itself."""
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Target:
    """A process, and the figure from which on it is interesting."""

    pid: int
    least: int


@dataclass(frozen=True, slots=True)
class Figure:
    """Bytes that a process takes. `is_exact`: private and swapped memory, not the resident size."""

    size: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class _Known:
    figure: Figure
    at: float
    rss: int
    faults: int
    swapped: int


class Meter:
    """Remembers exact figures between two looks. `swap`: whether this machine swaps at all."""

    def __init__(self, *, proc: str = "/proc", swap: bool | None = None) -> None:
        self._proc = proc
        self._swap = has_swap(proc) if swap is None else swap
        self._known: dict[int, _Known] = {}
        self.exact_looks = 0

    def look(self, targets: Iterable[Target], now: float) -> dict[int, Figure | None]:
        """Figures of the processes that may be at or above `least`; None for those that cannot be looked at."""
        found: dict[int, Figure | None] = {}
        seen = {}
        for target in targets:
            pid, known = target.pid, self._known.get(target.pid)
            rss = self._rss(pid)
            if rss is None:
                found[pid] = None
                continue
            if known is not None:
                seen[pid] = known
            if self._is_below(target, rss, known, now):
                continue
            seen[pid] = self._exact(pid, rss, now)
            if (figure := seen[pid].figure).size >= target.least:
                found[pid] = figure
        self._known = seen
        return found

    def _is_below(self, target: Target, rss: int, known: _Known | None, now: float) -> bool:
        """Whether the process is below `least` for certain, without an exact look."""
        is_fresh = known is not None and now - known.at < REFRESH
        if rss < target.least and (not self._swap or (is_fresh and known is not None)):
            return known is None or rss + known.swapped < target.least
        if known is None or not is_fresh or not known.figure.is_exact:
            return False
        grown = (self._faults(target.pid) - known.faults) * PAGE + max(0, rss - known.rss)
        return known.figure.size + grown < target.least

    def _exact(self, pid: int, rss: int, now: float) -> _Known:
        self.exact_looks += 1
        faults = self._faults(pid)
        private = swapped = 0
        is_exact = False
        for line in self._read(pid, "smaps_rollup").splitlines():
            name, _, value = line.partition(b":")
            if name in {b"Private_Clean", b"Private_Dirty"}:
                private += int(value.split()[0]) * 1024
                is_exact = True
            elif name == b"SwapPss":
                swapped = int(value.split()[0]) * 1024
        figure = Figure(private + swapped, True) if is_exact else Figure(rss, False)
        return _Known(figure, now, rss, faults, swapped)

    def _rss(self, pid: int) -> int | None:
        fields = self._read(pid, "statm").split(None, 2)
        return int(fields[1]) * PAGE if len(fields) == 3 else None

    def _faults(self, pid: int) -> int:
        """Pages that were made available to the process so far without reading a disk."""
        stat = self._read(pid, "stat")
        fields = stat[stat.rfind(b")") + 2 :].split(None, 8)
        return int(fields[7]) if len(fields) == 9 else 0

    def _read(self, pid: int, name: str) -> bytes:
        try:
            fd = os.open(f"{self._proc}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.read(fd, 4096)
            finally:
                os.close(fd)
        except OSError:
            return b""


def has_swap(proc: str = "/proc") -> bool:
    """Whether the machine can swap; unknown counts as yes."""
    try:
        lines = Path(proc, "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return True
    return next((line.split()[1] != "0" for line in lines if line.startswith("SwapTotal:")), True)
