"""Free places of a group's processes, kept sorted by load: finding the least busy process costs the same for any number
of them.

Processes with a free place stand in levels by their number of sessions; full ones stand nowhere. The lowest level
that is not empty is known at every moment. In a level the process used last comes first: its caches are warm and
the others may grow old enough to be stopped. Level 0 is therefore ordered by idle time, longest first.

Rules.
1. Only enabled processes stand here.
2. `idle_order` is shared by all groups: every enabled process without a session, longest idle first.
3. "Least busy" is fewest sessions. Processes of one group have the same concurrency, except for a moment after a
   reload changed it, so this is Passenger's order without its division.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from passenger.pool.session import Session

if TYPE_CHECKING:
    from passenger.pool.model import Process


class Places:
    """The processes of one group that could take a request now."""

    __slots__ = ("_idle_order", "_levels", "_lowest", "free")

    def __init__(self, idle_order: OrderedDict[Process, None]) -> None:
        self._levels: list[dict[Process, None]] = [{}]
        self._lowest = 0
        self._idle_order = idle_order
        self.free = 0
        """Number of processes that stand here."""

    def take(self) -> Session:
        """A session with the least busy process. Only to be called while `free` is not 0."""
        load = self._lowest
        level = self._levels[load]
        process = level.popitem()[0]
        if load == 0:
            del self._idle_order[process]
        process.sessions = load + 1
        if load + 1 != process.concurrency:
            self._stand(process, load + 1)
            if not level:
                self._lowest = load + 1
        else:
            self.free -= 1
            if not level and self.free:
                self._climb()
        socket = process.only_socket or process.least_busy_socket()
        socket.sessions += 1
        return Session(process, socket)

    def take_from(self, process: Process) -> Session:
        """A session with this process, which stands here."""
        load = process.sessions
        level = self._levels[load]
        del level[process]
        if load == 0:
            del self._idle_order[process]
        process.sessions = load + 1
        if load + 1 != process.concurrency:
            self._stand(process, load + 1)
        else:
            self.free -= 1
        if not level and self.free and load == self._lowest:
            self._climb()
        socket = process.only_socket or process.least_busy_socket()
        socket.sessions += 1
        return Session(process, socket)

    def give_back(self, process: Process, now: float) -> None:
        """One session of an enabled process has ended."""
        before = process.sessions
        load = process.sessions = before - 1
        if before != process.concurrency:
            del self._levels[before][process]
            if load < self._lowest:  # noqa: PLR1730 - min() costs a call on the hot path
                self._lowest = load
        else:
            if self.free == 0 or load < self._lowest:
                self._lowest = load
            self.free += 1
        self._levels[load][process] = None
        if load == 0:
            process.last_used = now
            self._idle_order[process] = None

    def add(self, process: Process) -> None:
        """A new process without sessions."""
        self._levels[0][process] = None
        self._idle_order[process] = None
        self._lowest = 0
        self.free += 1

    def stand(self, process: Process) -> None:
        """A process that stood in other `Places`, with the sessions that it has. A full one will come back here."""
        load = process.sessions
        while load >= len(self._levels):
            self._levels.append({})
        if load == process.concurrency and load:
            return
        self._levels[load][process] = None
        if not self.free or load < self._lowest:
            self._lowest = load
        self.free += 1

    def remove(self, process: Process) -> None:
        """A process takes no more requests, whatever it runs."""
        load = process.sessions
        if load == process.concurrency and load:
            return
        level = self._levels[load]
        del level[process]
        if load == 0:
            del self._idle_order[process]
        self.free -= 1
        if not level and self.free and load == self._lowest:
            self._climb()

    def longest_idle(self) -> Process | None:
        return next(iter(self._levels[0]), None)

    def least_busy(self) -> Process | None:
        return next(iter(self._levels[self._lowest])) if self.free else None

    def standing(self) -> list[tuple[int, Process]]:
        """Every process here with its level, lowest first (for checks)."""
        return [(load, process) for load, level in enumerate(self._levels) for process in level]

    def lowest(self) -> int:
        return self._lowest

    def _stand(self, process: Process, load: int) -> None:
        if load == len(self._levels):
            self._levels.append({})
        self._levels[load][process] = None

    def _climb(self) -> None:
        """Find the next level that is not empty: as many steps as loads differ, one in the usual case."""
        load = self._lowest
        while not self._levels[load]:
            load += 1
        self._lowest = load
