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
from pathlib import Path
from typing import Final

from passenger.lazy_dataclass import dataclass

REFRESH: Final = 60.0
"""Seconds after which an exact figure is old: what others share, or what is swapped, may have changed by itself."""
REFRESHED: Final = 2
"""Old figures that are renewed in one look: hundreds become old at once, and nothing says that they changed."""
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


@dataclass(frozen=True, slots=True)
class _Size:
    rss: int
    faults: int


def _is_below(least: int, size: _Size, known: _Known | None, *, swap: bool) -> bool:
    """Whether a process is below `least` for certain, without an exact look."""
    if known is None:
        return size.rss < least and not swap
    if size.rss + known.swapped < least:
        return True
    if not known.figure.is_exact:
        return False
    grown = (size.faults - known.faults) * PAGE + max(0, size.rss - known.rss)
    return known.figure.size + grown < least


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
        refreshes = REFRESHED
        for target in targets:
            pid, known = target.pid, self._known.get(target.pid)
            size = self._size(pid, known)
            if size is None:
                found[pid] = None
                continue
            if known is not None:
                seen[pid] = known
                if now - known.at >= REFRESH and refreshes:
                    refreshes -= 1
                    known = None
            if _is_below(target.least, size, known, swap=self._swap):
                continue
            seen[pid] = self._exact(pid, size.rss, now)
            if (figure := seen[pid].figure).size >= target.least:
                found[pid] = figure
        self._known = seen
        return found

    def _size(self, pid: int, known: _Known | None) -> _Size | None:
        """The cheap look. Only one that was looked at closely before is asked for its page faults, too."""
        if known is None:
            fields = self._read(pid, "statm").split(None, 2)
            return _Size(int(fields[1]) * PAGE, 0) if len(fields) == 3 else None
        fields = self._stat(pid)
        return _Size(int(fields[21]) * PAGE, int(fields[7])) if fields else None

    def _exact(self, pid: int, rss: int, now: float) -> _Known:
        self.exact_looks += 1
        fields = self._stat(pid)
        faults = int(fields[7]) if fields else 0
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

    def _stat(self, pid: int) -> list[bytes]:
        """The fields behind the name: 7 = page faults without a disk so far, 21 = resident pages. [] = it is gone."""
        stat = self._read(pid, "stat")
        fields = stat[stat.rfind(b")") + 2 :].split(None, 22)
        return fields if len(fields) == 23 else []

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
