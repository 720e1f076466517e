"""How long a group waits after a failed start: 1, 2, 4 ... 30 seconds, give or take a fifth (fault matrix A17, B3).

A start that fails counts, and so does a process that ends on its own within QUICK_EXIT seconds. Failures of starts
that ran side by side count once: only a failure of something begun after the last failure makes the wait longer.
A process that is ready heals at once; the count is forgotten when the group has been healthy for QUICK_EXIT.
"""

from __future__ import annotations

import math
from typing import Final

QUICK_EXIT: Final = 5.0
"""Seconds; a process that lives shorter than this has failed to start."""

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 30.0
SPREAD: Final = 0.2
"""Part by which a wait is made shorter or longer at random, so that many groups do not retry in step."""


class Backoff:
    """The failures of one group in a row. Times are monotonic seconds."""

    __slots__ = ("_failed_at", "_healthy_since", "failures", "retry_at")

    def __init__(self) -> None:
        self.failures = 0
        self.retry_at = 0.0
        self._failed_at = -math.inf
        self._healthy_since: float | None = None

    def failed(self, *, began_at: float, now: float, jitter: float) -> None:
        """Something that began at `began_at` failed. `jitter` is random in [0, 1)."""
        if self.is_over(now):
            self.failures = 0
        if began_at > self._failed_at:
            self.failures += 1
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self.failures - 1, 10))
            self.retry_at = now + wait * (1 - SPREAD + 2 * SPREAD * jitter)
            self._failed_at = now
        self._healthy_since = None

    def succeeded(self, now: float) -> None:
        """A process is ready."""
        self.retry_at = 0.0
        if self._healthy_since is None:
            self._healthy_since = now

    def forgive(self) -> None:
        """Somebody changed something (a reload): try again at once."""
        self.failures = 0
        self.retry_at = 0.0

    def is_waiting(self, now: float) -> bool:
        return now < self.retry_at

    def is_over(self, now: float) -> bool:
        """Nothing failed of late."""
        if not self.failures:
            return True
        return self._healthy_since is not None and now - self._healthy_since >= QUICK_EXIT

    def remaining(self, now: float) -> float:
        """Seconds until the next try."""
        return max(0.0, self.retry_at - now)
