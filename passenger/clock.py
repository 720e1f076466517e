"""Time as a collaborator: everything below `core` and `watchdog` is told the time, nobody asks for it.

All times are seconds as float on the monotonic clock unless a name says `wall`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a part needs of time."""

    def monotonic(self) -> float: ...
    def wall(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)  # asked several times per request: no call of ours in between
    wall = staticmethod(time.time)
