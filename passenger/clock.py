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

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()
