"""The OTLP/HTTP sink: records as traces, metrics and logs, in the types and the encoding of the OpenTelemetry SDK.

Rules.
1. This module is imported by UstRouter only, and only when the sink is configured: it costs 20 MB.
2. A request is a tree of spans (`spans`), a start of a process as well; every other event is a log record. Metrics are
   sums over everything (`sums`), sent with a batch at most once in METRICS_EVERY.
3. The SDK's exporters are not used: they retry by rules of their own. What they would send is posted by `post`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import export as points
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from passenger.lazy_dataclass import dataclass
from passenger.telemetry.post import Outcome, Poster
from passenger.telemetry.records import EventRecord, Record, RequestRecord
from passenger.telemetry.spans import Span, spans_of, spans_of_spawn
from passenger.telemetry.spool import Delivery
from passenger.telemetry.sums import BOUNDS, Labels, Sums

METRICS_EVERY: Final = 10.0
_TYPE: Final = "application/x-protobuf"
_KINDS: Final = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_SPAWNS: Final = frozenset({"spawn", "spawn_failed"})
_TROUBLE: Final = frozenset({"spawn_failed", "restart_failed", "refusals"})
_UNITS: Final = {"pss": "By", "private": "By", "rss": "By", "cpu_seconds": "s"}


@dataclass(frozen=True, slots=True)
class Signals:
    """Which of them are wanted."""

    traces: bool
    metrics: bool
    logs: bool


class Otlp:
    """Target of a sink."""

    def __init__(self, poster: Poster, signals: Signals, *, instance: str, version: str) -> None:
        self._poster = poster
        self._signals = signals
        about = {"service.name": "passenger", "service.namespace": instance, "service.version": version}
        self._resource = Resource(about)
        self._scope = InstrumentationScope("passenger", version)
        self._sums = Sums()
        self._began = time.time_ns()
        self._metrics_at = 0.0

    def encode(self, records: Sequence[Record]) -> list[Delivery]:
        """Target. Each record counts in one delivery, metrics in none."""
        signals = self._signals
        found: list[Delivery] = []
        traced: list[Span] = []
        events: list[EventRecord] = []
        told = 0
        for record in records:
            if isinstance(record, RequestRecord):
                traced += spans_of(record)
                told += 1
            elif record.kind in _SPAWNS and signals.traces:
                traced += spans_of_spawn(record)
                told += 1
            elif record.kind != "sample":
                events.append(record)
        if traced and signals.traces:
            body = encode_spans([self._span(span) for span in traced]).SerializeToString()
            found.append(Delivery("/v1/traces", _TYPE, body, told))
        if events and signals.logs:
            body = encode_logs([self._log(event) for event in events]).SerializeToString()
            found.append(Delivery("/v1/logs", _TYPE, body, len(events)))
        if signals.metrics:
            self._sums.add(records)
            if time.monotonic() - self._metrics_at >= METRICS_EVERY:
                self._metrics_at = time.monotonic()
                found.append(Delivery("/v1/metrics", _TYPE, encode_metrics(self._metrics()).SerializeToString(), 0))
        return found

    def deliver(self, delivery: Delivery, seconds: float | None) -> Outcome:
        """Target."""
        return self._poster.post(delivery.path, delivery.content_type, delivery.body, seconds)

    def _span(self, span: Span) -> ReadableSpan:
        trace = int(span.trace_id, 16)
        return ReadableSpan(
            span.name,
            context=_context(trace, span.span_id),
            parent=_context(trace, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes=span.attributes,
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=self._scope,
        )

    def _log(self, event: EventRecord) -> ReadableLogRecord:
        level = SeverityNumber.ERROR if event.kind in _TROUBLE else SeverityNumber.INFO
        about: dict[str, Any] = {"passenger.app": event.app} if event.app else {}
        about |= {
            f"passenger.{name}": value for name, value in event.facts.items() if isinstance(value, str | int | float)
        }
        told = LogRecord(
            timestamp=int(event.time * 1e9),
            observed_timestamp=int(event.time * 1e9),
            severity_number=level,
            severity_text=level.name,
            body=event.kind,
            attributes=about,
            event_name=f"passenger.{event.kind}",
        )
        return ReadableLogRecord(told, self._resource, self._scope)

    def _metrics(self) -> points.MetricsData:
        now, began = time.time_ns(), self._began
        whole = points.AggregationTemporality.CUMULATIVE
        found: dict[str, tuple[str, str, list[Any]]] = {}
        for (name, labels), count in self._sums.counters.items():
            point = points.NumberDataPoint(_named(labels), began, now, count)
            found.setdefault(name, ("sum", "1", []))[2].append(point)
        for (name, labels), value in self._sums.gauges.items():
            unit = _UNITS.get(name.rpartition(".")[2], "1")
            found.setdefault(name, ("gauge", unit, []))[2].append(
                points.NumberDataPoint(_named(labels), began, now, value)
            )
        for (name, labels), spread in self._sums.spreads.items():
            spread_point = points.HistogramDataPoint(
                _named(labels), began, now, spread.count, spread.sum, spread.buckets, BOUNDS, spread.least, spread.most
            )
            found.setdefault(name, ("histogram", "s", []))[2].append(spread_point)
        data: dict[str, Any] = {
            "sum": lambda list_: points.Sum(list_, whole, True),
            "gauge": points.Gauge,
            "histogram": lambda list_: points.Histogram(list_, whole),
        }
        metrics = [points.Metric(name, "", unit, data[kind](list_)) for name, (kind, unit, list_) in found.items()]
        scope = points.ScopeMetrics(self._scope, metrics, "")
        return points.MetricsData([points.ResourceMetrics(self._resource, [scope], "")])


def _context(trace: int, span_id: str) -> SpanContext:
    return SpanContext(trace, int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _named(labels: Labels) -> dict[str, str]:
    return dict(labels)
