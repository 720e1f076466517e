"""When a crashed component is tried again, and when it has crashed too often. Time is a parameter."""

from __future__ import annotations

from collections import deque
from typing import Final

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 10.0
HEALTHY_AFTER: Final = 60.0
"""Seconds of running after which earlier crashes no longer slow a restart down."""


class Backoff:
    """Delays of one component: none, then 0.1 s doubling to 10 s; and the crash budget."""

    __slots__ = ("_attempt", "_crashes")

    def __init__(self) -> None:
        self._attempt = 0
        self._crashes: deque[float] = deque()

    def next_delay(self) -> float:
        """Seconds to wait before the next start."""
        delay: float = 0.0 if self._attempt == 0 else FIRST_DELAY * 2.0 ** (self._attempt - 1)
        if delay < LONGEST_DELAY:
            self._attempt += 1
        return min(delay, LONGEST_DELAY)

    def healthy(self) -> None:
        """It ran long enough: the next crash is restarted at once again."""
        self._attempt = 0

    def is_spent(self, now: float, *, max_crashes: int, window: float) -> bool:
        """Count a crash; True when there were more than `max_crashes` within the last `window` seconds."""
        self._crashes.append(now)
        while self._crashes[0] < now - window:
            self._crashes.popleft()
        return len(self._crashes) > max_crashes
