"""Rows -> the text that Prometheus reads, family by family, so that the loop can do something else in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from passenger.core.metric_names import METRICS, MetricName
from passenger.core.metric_rows import Labels, Row, Value
from passenger.core.request_figures import Histogram

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class _One(Collector):
    """The registry that `generate_latest` wants, with one family in it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def families(rows: Iterable[Row]) -> Iterator[bytes]:
    """The text, one family at a time, in the order of the catalogue."""
    by_metric: dict[MetricName, list[tuple[Labels, Value]]] = {}
    for metric, labels, value in rows:
        by_metric.setdefault(metric, []).append((labels, value))
    for metric in METRICS:
        values = by_metric.get(metric)
        if values:
            yield generate_latest(_One(_family(metric, values)))


def _family(metric: MetricName, values: list[tuple[Labels, Value]]) -> Metric:
    family = Metric(metric.family, metric.help, metric.kind)
    for labels, value in values:
        named = dict(zip(metric.labels, labels, strict=True))
        if isinstance(value, Histogram):
            for bound, count in zip((*value.bounds, "+Inf"), accumulate(value.counts), strict=True):
                family.add_sample(f"{metric.name}_bucket", {**named, "le": str(bound)}, count)
            family.add_sample(f"{metric.name}_count", named, sum(value.counts))
            family.add_sample(f"{metric.name}_sum", named, value.total)
        elif isinstance(value, tuple):
            family.add_sample(f"{metric.name}_count", named, value[0])
            family.add_sample(f"{metric.name}_sum", named, value[1])
        else:
            family.add_sample(metric.name, named, value)
    return family
