"""What requests tell when they are over: durations and outcomes by application, for /metrics.

Rules.
1. Watching begins with the first scrape: an instance that nobody scrapes pays nothing (`RequestHandler.observe`).
2. A request costs three look-ups in lists of BUCKETS and some additions; nothing is allocated that stays.
3. Only applications of the configuration have figures; one that is removed loses them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from typing import Final

from passenger.request.observed import CUT, DEPARTED, Seen

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds."""


class Histogram:
    """Durations by bucket; the last bucket is for what is longer than every bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = BUCKETS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class AppFigures:
    """Of one application."""

    __slots__ = ("application", "bytes_sent", "duration", "queue_wait", "statuses")

    def __init__(self) -> None:
        self.duration = Histogram()
        self.queue_wait = Histogram()
        self.application = Histogram()
        self.bytes_sent = 0
        self.statuses = [0] * 6
        """1xx, ..., 5xx, none: the order of `metric_names.STATUSES`."""


class RequestFigures:
    """A RequestObserver."""

    def __init__(self, apps: Collection[str]) -> None:
        self.by_app = {name: AppFigures() for name in apps}

    def apply(self, apps: Collection[str]) -> None:
        """Other applications are configured; those that stay keep their figures."""
        self.by_app = {name: self.by_app.get(name) or AppFigures() for name in apps}

    def __call__(self, seen: Seen) -> None:
        """A request is over."""
        figures = self.by_app.get(seen.app)
        if figures is None:
            return
        if seen.granted:
            figures.queue_wait.add(seen.granted - seen.asked)
        if seen.status != b"101":  # a tunnel lasts as long as its client likes
            figures.duration.add(seen.done - (seen.arrived or seen.asked))
            if seen.granted:
                figures.application.add((seen.served or seen.done) - seen.granted)
        figures.bytes_sent += seen.sent
        figures.statuses[_class_of(seen)] += 1


def _class_of(seen: Seen) -> int:
    """0 for 1xx, ..., 4 for 5xx, 5 when there was no response."""
    first = seen.status[:1]
    if seen.ending in {DEPARTED, CUT} or first not in {b"1", b"2", b"3", b"4", b"5"}:
        return 5
    return first[0] - 0x31
