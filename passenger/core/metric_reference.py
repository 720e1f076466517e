"""`python -m passenger.core.metric_reference [--check]`: write docs/metrics.md from the catalogue, or say it
drifted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from passenger.config.generate import main
from passenger.core.loop_lag import BOUNDS
from passenger.core.metric_names import LABELS, METRICS, Kind
from passenger.core.request_figures import BUCKETS

PAGE: Final = "docs/metrics.md"
SUFFIXES: Final[dict[Kind, str]] = {
    "counter": "",
    "gauge": "",
    "histogram": "`_bucket`, `_sum`, `_count`",
    "summary": "`_sum`, `_count`",
}

HEAD: Final = """\
# Metrics

Generated from the catalogue (`python -m passenger.core.metric_reference`): change `passenger/core/metric_names.py`,
not this page.

```toml
[instances.main.admin]
listen = "127.0.0.1:9180"
```

serves `/metrics` for Prometheus beside the probes, also while applications start and during `drain_delay`. Whoever
reaches that address may read it: keep it off the public network. `admin.metrics = false` takes the page away.

```console
$ curl -s http://127.0.0.1:9180/metrics | grep passenger_queue_length
passenger_queue_length{app="blog"} 0.0
```

- **What it costs.** Nothing while nobody asks: requests are watched from the first scrape on, so
  `passenger_requests_total` and the histograms begin at 0 then; the others began with the core. After that three
  look-ups per request. A scrape with 500 processes takes the core less than 50 ms of CPU, in pieces, and says itself
  what the one before took.
- **Labels are bounded.** Applications have their names from the configuration; no pid, path or anything else of a
  request is a label.
- **Counters** grow over reloads. A core that was replaced begins at 0, which `rate()` and `increase()` understand.
- **Memory** is read at each scrape within a budget of 20 ms: with hundreds of processes some figures are a few
  scrapes old (`passenger_memory_age_seconds`).

## Metrics of Passenger

| metric | kind | labels | means |
|---|---|---|---|
"""

FOOT: Final = """
## Without Prometheus

The core keeps the last quarter of an hour of each application itself, a point every five seconds, in less than 2 MB
for 50 applications: `passenger-config api-call series` answers with the latest point of each, and with
`--data '{"app": "blog"}'` with all of one. It begins with the first question, and ends a quarter of an hour after the
last one.

## Prometheus and Grafana

`config/monitoring/` (in a wheel: `passenger/data/config/monitoring/`) holds

| file | is |
|---|---|
| `prometheus.yml` | how to scrape an instance |
| `recording_rules.yml` | rates, ratios and percentiles over five minutes, by application |
| `alerts.yml` | thirteen alerts, each with what to do; they stand on the recording rules |
| `rules_test.yml` | `promtool test rules rules_test.yml`: when they fire, and when they do not |
| `grafana-dashboard.json` | a dashboard; import it and choose the data source |

The labels `job` and `instance` are those of Prometheus. On Kubernetes, [kubernetes.md](kubernetes.md) shows how pods
are found and
scaled by these metrics.
"""


def page() -> str:
    """The text of the page."""
    rows = [
        f"| `{metric.name}` | {' '.join(filter(None, (metric.kind, SUFFIXES[metric.kind])))} | "
        f"{', '.join(f'`{label}`' for label in metric.labels)} | {metric.help.replace('|', '&#124;')} |"
        for metric in METRICS
    ]
    labels = [f"| `{name}` | {meaning} |" for name, meaning in LABELS.items()]
    of_loop = f"of the event loop's lag: {_listed(BOUNDS)}"
    bounds = f"Bounds of the histograms in seconds: {_listed(BUCKETS)}; {of_loop}; and +Inf."
    return HEAD + "\n".join([*rows, "", "| label | values |", "|---|---|", *labels, "", bounds]) + "\n" + FOOT


def _listed(bounds: tuple[float, ...]) -> str:
    return ", ".join(f"{bound:g}" for bound in bounds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parents[2], {PAGE: page()}, "passenger.core.metric_reference"))
