"""How late the event loop comes to a timer: what every request waits in addition, whatever its application does.

Rule: it runs while somebody wants to know (`wanted`, at every scrape) and PATIENCE longer, then not at all.
"""

from __future__ import annotations

import asyncio
from typing import Final

from passenger.core.request_figures import Histogram

INTERVAL: Final = 0.5
PATIENCE: Final = 300.0
BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class LoopLag:
    """Keeps the histogram."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.histogram = Histogram(BOUNDS)
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    def wanted(self) -> None:
        """Go on for PATIENCE from now."""
        self._until = self._loop.time() + PATIENCE
        if self._timer is None:
            self._set()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        due = self._loop.time() + INTERVAL
        self._timer = self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        now = self._loop.time()
        self.histogram.add(max(0.0, now - due))
        self._timer = None
        if now < self._until:
            self._set()
