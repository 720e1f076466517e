"""Whether the instance is alive, judged every few seconds: by the core's beats and by whether nginx accepts. Pure.

Rules.
1. Only a part that should be running is judged: one that is being restarted is looked after already.
2. A core that never beat is not missed, and a pause of our own (a frozen container) is nobody's fault.
3. A core that does not answer for HUNG seconds is replaced; the service manager hears of nothing but what stays wrong.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PULSE: Final = 5.0
"""Seconds between two looks; the core beats as often."""
HUNG: Final = 15.0
"""Seconds without a beat after which the core's event loop does not turn any more (fault matrix C2)."""
LATE: Final = 5.0
"""Seconds that the core's loop may be late."""


class Verdict(NamedTuple):
    """What is wrong, in words ("" = nothing), and whether it is the core that did this and has to go for it."""

    trouble: str
    is_core_hung: bool = False


class Vitals:
    """Remembers the signs of life of one instance."""

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._beat_at: float | None = None
        self._late = 0.0
        self._asked = False
        self._accepted_at = now

    def beat(self, now: float, late: float) -> None:
        """The core spoke; its loop was so many seconds late."""
        self._beat_at = now
        self._late = late

    def core_started(self) -> None:
        """Another core: nothing is known of it."""
        self._beat_at = None
        self._late = 0.0

    def asked(self) -> None:
        """nginx has been asked whether it accepts."""
        self._asked = True

    def accepted(self, now: float) -> None:
        """It does."""
        self._asked = False
        self._accepted_at = now

    def look(self, now: float, period: float, *, core_runs: bool, nginx_runs: bool) -> Verdict:
        """How things are, about `period` seconds after the last look."""
        paused = now - self._looked_at - period
        self._looked_at = now
        if paused > PULSE and self._beat_at is not None:
            self._beat_at = now
            self._accepted_at = now
            self._asked = False
            return Verdict("")
        if core_runs and self._beat_at is not None:
            silent = now - self._beat_at
            if silent > HUNG:
                return Verdict(f"gave no sign of life for {silent:.0f} s", is_core_hung=True)
            if silent > 2 * PULSE:
                return Verdict(f"the core's event loop has not answered for {silent:.0f} s")
            if self._late > LATE:
                return Verdict(f"the core's event loop was late by {self._late:.0f} s")
        if nginx_runs and self._asked:
            return Verdict(f"nginx has not accepted a connection for {now - self._accepted_at:.0f} s")
        self._asked = False
        return Verdict("")
