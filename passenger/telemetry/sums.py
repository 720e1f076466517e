"""Counters and histograms over all records that a router has seen: what OTLP gets as metrics. Pure; they only go up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import field
from typing import Final

from passenger.lazy_dataclass import dataclass
from passenger.telemetry.records import EventRecord, Record, RequestRecord

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; upper ends of the buckets."""
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Spread:
    """One histogram."""

    count: int = 0
    sum: float = 0.0
    least: float = float("inf")
    most: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)
        self.buckets[bisect_left(BOUNDS, value)] += 1


class Sums:
    """Labels are names of applications and words of ours only, so there are never many."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, Labels], int] = {}
        self.spreads: dict[tuple[str, Labels], Spread] = {}
        self.gauges: dict[tuple[str, Labels], float] = {}
        """The last value of each."""

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, RequestRecord):
                self._request(record)
            else:
                self._event(record)

    def _request(self, record: RequestRecord) -> None:
        app = ("app", record.app)
        self._count(
            "passenger.requests", (app, ("status_class", f"{record.status // 100}xx"), ("ending", record.ending))
        )
        for name, value in (
            ("http.server.request.duration", record.total),
            ("passenger.queue.wait", record.queue_wait),
            ("passenger.app.time", record.app_time),
            ("passenger.web_server.wait", record.web_wait),
        ):
            if value is not None:
                self.spreads.setdefault((name, (app,)), Spread()).add(value)

    def _event(self, record: EventRecord) -> None:
        labels = (("app", record.app),) if record.app else ()
        if record.kind != "sample":
            self._count(f"passenger.{record.kind}", labels)
            return
        for name in ("processes", "pss", "private", "rss", "cpu_seconds", "queue"):
            if isinstance(value := record.facts.get(name), int | float):
                self.gauges[f"passenger.app.{name}", labels] = float(value)

    def _count(self, name: str, labels: Labels) -> None:
        self.counters[name, labels] = self.counters.get((name, labels), 0) + 1
