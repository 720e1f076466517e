"""Looks after the instance directory while the instance runs (fault matrix D4).

Rules.
1. What somebody deleted is made again at once; then the core is replaced: it listens on sockets that have no name.
2. What cannot be made again is tried before each start of the core: that is a crash like any other, with its back-off
   and budget, so that an instance whose place was taken ends and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from passenger.errors import HostError
from passenger.instance.plan import Plan
from passenger.log import Log
from passenger.watchdog.interior import Interior
from passenger.watchdog.loop import Loop

EVERY: Final = 1.0
"""Seconds between two looks."""


class Caretaker:
    """Works from `begin` on, whenever `is_needed` says so."""

    def __init__(
        self,
        loop: Loop,
        interior: Interior,
        log: Log,
        *,
        plan: Callable[[], Plan],
        is_needed: Callable[[], bool],
        on_renewed: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """`on_renewed`: the files are new; `on_lost(what)`: who listens on the old sockets cannot go on."""
        self._loop = loop
        self._interior = interior
        self._log = log
        self._plan = plan
        self._is_needed = is_needed
        self._on_renewed = on_renewed
        self._on_lost = on_lost

    def begin(self) -> None:
        self._loop.after(EVERY, self._look)

    def restore(self) -> None:
        """Make sure that everything is there. Raises HostError."""
        if self._interior.missing():
            self._interior.renew(self._plan())
            self._on_renewed()

    def _look(self) -> None:
        if self._is_needed() and (gone := self._interior.missing()):
            self._log.error("somebody deleted a part of the instance directory: it is made again", what=gone)
            try:
                self.restore()
            except HostError as error:
                self._log.error(error.message)
            self._on_lost(gone)
        self.begin()
