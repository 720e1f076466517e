"""From snapshots of pool and requests to the values of metrics. Pure.

Rule: groups of one name are added up: an application that was removed and came back may still have old processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from passenger.core import metric_names as names
from passenger.core.memory import Usage
from passenger.core.metric_names import MetricName
from passenger.core.request_figures import AppFigures, Histogram
from passenger.lazy_dataclass import dataclass
from passenger.request.traffic import GateCount
from passenger.wire.status import GroupCounters, GroupStatus, PoolStatus, RequestStatus

Labels = tuple[str, ...]
Value = float | Histogram | tuple[float, float]
"""A number; for a summary (how many, their sum)."""
Row = tuple[MetricName, Labels, Value]

_COUNTERS: dict[MetricName, str] = {
    names.ACCEPTED: "requests",
    names.DEPARTED: "departed_in_queue",
    names.OVER_TIME: "requests_over_time",
    names.SPAWNS: "spawns",
    names.SPAWN_FAILURES: "spawn_failures",
    names.EXITS: "exits",
    names.CRASHES: "crashes",
    names.RESTARTS: "restarts",
    names.RESTARTS_FAILED: "restarts_failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a scrape tells of applications."""

    pool: PoolStatus
    requests: RequestStatus
    figures: Mapping[str, AppFigures]
    gates: Mapping[str, Mapping[GateCount, int]]
    memory: Mapping[int, Usage]
    steps: Mapping[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """(application, step of a start) -> how many, and their seconds."""


def rows(snapshot: Snapshot) -> Iterator[Row]:
    """The values of all metrics of requests and applications."""
    yield from _of_requests(snapshot.requests)
    yield names.POOL_LIMIT, (), snapshot.pool["max_pool_size"]
    unknown = 0
    for name, groups in _by_name(snapshot.pool["groups"]).items():
        yield from _of_counters(name, [group["counters"] for group in groups], snapshot.gates.get(name))
        yield from _of_groups(name, groups)
        pids = [process["pid"] for group in groups for process in group["processes"]]
        pids += [group["preloader"]["pid"] for group in groups if group["preloader"]]
        usages = [snapshot.memory[pid] for pid in pids if pid in snapshot.memory]
        yield from _of_memory(name, usages)
        unknown += len(pids) - sum(usage.pss is not None for usage in usages)
    yield names.MEMORY_UNKNOWN, (), unknown
    for name, figures in snapshot.figures.items():
        yield from _of_figures(name, figures)
    for labels, took in snapshot.steps.items():
        yield names.SPAWN_STEPS, labels, took


def telemetry_rows(status: Mapping[str, Any]) -> Iterator[Row]:
    """What became of telemetry's records (`Courier.status`)."""
    yield names.TELEMETRY_RECORDS, (), status["told"]
    for cause in ("overflow", "too_long"):
        yield names.TELEMETRY_DROPPED, ("core", cause), status[cause]
    yield names.TELEMETRY_WAITING, ("core",), status["waiting"]
    for sink, counts in status["sinks"].items():
        for cause in ("rejected", "dropped", "spool_dropped", "lost"):
            yield names.TELEMETRY_DROPPED, (sink, cause), counts[cause]
        yield names.TELEMETRY_WAITING, (sink,), counts["waiting"] or 0


def pids_of(pool: PoolStatus) -> list[int]:
    """Everybody whose memory counts."""
    found = [process["pid"] for group in pool["groups"] for process in group["processes"]]
    return found + [group["preloader"]["pid"] for group in pool["groups"] if group["preloader"]]


def _by_name(groups: list[GroupStatus]) -> dict[str, list[GroupStatus]]:
    found: dict[str, list[GroupStatus]] = {}
    for group in groups:
        found.setdefault(group["name"], []).append(group)
    return found


def _of_requests(requests: RequestStatus) -> Iterator[Row]:
    yield names.IN_PROGRESS, (), requests["active"]
    yield names.MALFORMED, (), requests["malformed"]
    yield names.ABORTED, (), requests["aborted"]
    yield names.UPGRADES, (), requests["upgraded"]
    yield names.TUNNELS, (), requests["tunnels"]


def _of_counters(app: str, counters: list[GroupCounters], gates: Mapping[GateCount, int] | None) -> Iterator[Row]:
    total: dict[str, int] = {}
    for one in counters:
        for key, count in one.items():
            total[key] = total.get(key, 0) + int(str(count))
    for metric, key in _COUNTERS.items():
        yield metric, (app,), total[key]
    for reason in ("queue_full", "queue_time", "spawn_failed"):
        yield names.REFUSED, (app, reason), total[f"refused_{reason}"]
    yield names.REFUSED, (app, "pause"), gates["expired"] + gates["refused"] if gates else 0
    yield names.REFUSED, (app, "maintenance"), gates["turned_away"] if gates else 0
    yield names.OVER_TIME_ENDS, (app, "interrupted"), total["requests_interrupted"]
    yield names.OVER_TIME_ENDS, (app, "process_ended"), total["processes_over_time"]


def _of_groups(app: str, groups: list[GroupStatus]) -> Iterator[Row]:
    first, label = groups[0], (app,)
    yield names.QUEUE, label, sum(group["queue"] for group in groups)
    yield names.QUEUE_LIMIT, label, first["max_request_queue_size"]
    yield names.PROCESS_LIMIT, label, first["max_instances"]
    yield names.BACKING_OFF, label, first["backing_off_for"]
    yield names.HELD, label, 0 if first["traffic"] is None else first["traffic"]["held"]
    states = dict.fromkeys(names.STATES, 0)
    states["starting"] = sum(group["spawning"] for group in groups)
    places, taken, outdated = 0.0, 0, 0
    for group in groups:
        for process in group["processes"]:
            states[process["state"]] += 1
            outdated += process["outdated"]
            if process["state"] == "enabled":
                places += process["concurrency"] or math.inf
                taken += process["sessions"]
    for state, count in states.items():
        yield names.PROCESSES, (app, state), count
    yield names.PLACES, label, places
    yield names.PLACES_TAKEN, label, taken
    yield names.OUTDATED, label, outdated


def _of_memory(app: str, usages: list[Usage]) -> Iterator[Row]:
    yield names.MEMORY, (app, "pss"), sum(usage.pss or 0 for usage in usages)
    yield names.MEMORY, (app, "private"), sum(usage.private or 0 for usage in usages)
    shared = sum((usage.rss or 0) - usage.private for usage in usages if usage.private is not None)
    yield names.MEMORY, (app, "shared"), shared


def _of_figures(app: str, figures: AppFigures) -> Iterator[Row]:
    for status, count in zip(names.STATUSES, figures.statuses, strict=True):
        yield names.REQUESTS, (app, status), count
    yield names.DURATION, (app,), figures.duration
    yield names.QUEUE_WAIT, (app,), figures.queue_wait
    yield names.APPLICATION, (app,), figures.application
    yield names.SENT, (app,), figures.bytes_sent
