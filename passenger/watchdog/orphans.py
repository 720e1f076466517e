"""Processes that became our children because a component died, or because they ran away from one.

Rules.
1. Applications of a dead core see EOF and get GRACE seconds to end; then they and everything below them are killed.
2. Processes that were children of this pid before the watchdog ran (a shell that exec'ed us) are not ours to end.
3. At the end of the instance everything that is left is asked to terminate, then killed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Final

from passenger.log import Log
from passenger.watchdog.child import Reaper
from passenger.watchdog.loop import Loop, Timer
from passenger.watchdog.processes import (
    ProcessFacts,
    all_processes,
    is_same,
    own_children,
    send_signal,
    with_descendants,
)

GRACE: Final = 5.0
LAST_WORDS: Final = 2.0
"""Seconds between TERM and KILL of the final sweep."""


class Orphans:
    """Looks after adopted children."""

    def __init__(self, loop: Loop, reaper: Reaper, log: Log) -> None:
        self._loop = loop
        self._reaper = reaper
        self._log = log
        self._strangers = {(facts.pid, facts.started) for facts in own_children()}
        self._on_empty: Callable[[], None] | None = None
        self._timer: Timer | None = None

    def present(self) -> list[ProcessFacts]:
        """Adopted children that are alive or not yet reaped."""
        started = self._reaper.pids()
        others = (facts for facts in own_children() if facts.pid not in started)
        return [facts for facts in others if (facts.pid, facts.started) not in self._strangers]

    def core_died(self, *, other_sessions: set[int]) -> None:
        """What was adopted so far, except members of the sessions given, ends within GRACE seconds or is killed."""
        self._kill_later([facts for facts in self.present() if facts.session not in other_sessions], GRACE, "core")

    def nginx_died(self, session: int, patience: float) -> None:
        """Workers of a dead master were asked to finish; after `patience` seconds they are killed."""
        self._kill_later([facts for facts in self.present() if facts.session == session], patience, "nginx")

    def sweep(self, on_empty: Callable[[], None]) -> None:
        """End everything that is left, then call back."""
        self._on_empty = on_empty
        left = self.present()
        for facts in with_descendants(left, all_processes()):
            send_signal(facts, signal.SIGTERM)
        self._timer = self._loop.after(LAST_WORDS, self._kill_rest)
        self.reaped()

    def reaped(self) -> None:
        """Somebody was reaped: perhaps the last one that the sweep waits for."""
        if self._on_empty is not None and not self.present():
            call, self._on_empty = self._on_empty, None
            if self._timer is not None:
                self._timer.cancel()
            call()

    def _kill_rest(self) -> None:
        left = self.present()
        if not left:
            self.reaped()
            return
        self._kill(left, "the instance")
        self._timer = self._loop.after(LAST_WORDS, self._kill_rest)

    def _kill_later(self, roots: list[ProcessFacts], seconds: float, whose: str) -> None:
        if roots:
            self._loop.after(seconds, lambda: self._kill(roots, whose))

    def _kill(self, roots: Iterable[ProcessFacts], whose: str) -> None:
        processes = all_processes()
        living = [facts for facts in roots if is_same(facts, processes)]
        killed = [facts.pid for facts in with_descendants(living, processes) if send_signal(facts, signal.SIGKILL)]
        if killed:
            self._log.warn(f"killed what was left of {whose}", pids=" ".join(map(str, killed)))
