"""Free places while old and new processes serve side by side: the newest generation is asked first, then the others.

Stands where a group has its `Places` otherwise, and costs nothing while no restart is under way.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from passenger.pool.places import Places
from passenger.pool.session import Session

if TYPE_CHECKING:
    from passenger.pool.model import Generation, Process


class Tiers:
    """Two `Places`: that of the newest generation, and that of all older ones."""

    __slots__ = ("_generation", "newest", "older")

    def __init__(self, generation: Generation, idle_order: OrderedDict[Process, None]) -> None:
        self._generation = generation
        self.newest = Places(idle_order)
        self.older = Places(idle_order)

    @property
    def free(self) -> int:
        return self.newest.free + self.older.free

    def take(self) -> Session:
        return (self.newest if self.newest.free else self.older).take()

    def take_from(self, process: Process) -> Session:
        return self._of(process).take_from(process)

    def give_back(self, process: Process, now: float) -> None:
        self._of(process).give_back(process, now)

    def add(self, process: Process) -> None:
        self._of(process).add(process)

    def stand(self, process: Process) -> None:
        self._of(process).stand(process)

    def remove(self, process: Process) -> None:
        self._of(process).remove(process)

    def longest_idle(self) -> Process | None:
        """Old ones first: they are to go anyway."""
        return self.older.longest_idle() or self.newest.longest_idle()

    def least_busy(self) -> Process | None:
        return self.older.least_busy() or self.newest.least_busy()

    def standing(self) -> list[tuple[int, Process]]:
        return [*self.newest.standing(), *self.older.standing()]

    def _of(self, process: Process) -> Places:
        return self.newest if process.generation is self._generation else self.older
