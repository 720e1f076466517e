"""Every metric of /metrics: name, kind, labels and what it means. `docs/metrics.md` is generated from here.

Rules.
1. Labels take few values, all known beforehand: names of applications come from the configuration, the others from
   the lists here. Nothing of a request, no pid and no path is ever a label.
2. Counters grow as long as the core lives, reloads included; a new core begins at 0, as Prometheus expects.
3. Durations are seconds and sizes bytes, and the name says so.
"""

from __future__ import annotations

from typing import Final, Literal

from passenger.lazy_dataclass import dataclass

Kind = Literal["counter", "gauge", "histogram", "summary"]


@dataclass(frozen=True, slots=True)
class MetricName:
    """One family. Of a counter `name` is that of its samples, with `_total`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
"""Of responses; `none`: the client had left before, or the request was given up."""
STATES: Final = ("starting", "enabled", "aside", "working", "draining", "stopping")
REFUSALS: Final = ("queue_full", "queue_time", "spawn_failed", "pause", "maintenance")
MEMORY_KINDS: Final = ("pss", "private", "shared")
LABELS: Final = {
    "app": "the name of an application in the configuration",
    "status": "of the response: " + ", ".join(STATUSES) + " (the client had left, or the request was given up)",
    "reason": ", ".join(REFUSALS),
    "state": ", ".join(STATES) + ", as in [pool.md](pool.md)",
    "result": "done, failed",
    "outcome": "interrupted, process_ended; for hooks: run, failed, dropped",
    "kind": ", ".join(MEMORY_KINDS),
    "step": "the step of a journey, as on error pages ([spawning.md](spawning.md))",
    "event": "the name of a hook ([hooks.md](hooks.md))",
    "sink": "core, before there is a sink; or the kind of a sink, or `KIND:APP` ([telemetry.md](telemetry.md))",
    "cause": "overflow, too_long (both in the core), rejected, dropped, spool_dropped, lost (with a router that died)",
    "version": "of Passenger",
    "python": "that the core runs on",
    "instance_name": "the name of the instance, in the configuration",
}

_APP: Final = ("app",)

BUILD: Final = MetricName(
    "passenger_build_info", "gauge", "Always 1; the labels say what runs.", ("version", "python", "instance_name")
)
CORE_STARTED: Final = MetricName(
    "passenger_core_start_time_seconds", "gauge", "When the core started, since the epoch."
)
CORE_CPU: Final = MetricName("passenger_core_cpu_seconds_total", "counter", "CPU time of the core.")
CORE_MEMORY: Final = MetricName("passenger_core_resident_bytes", "gauge", "Resident memory of the core.")
READY: Final = MetricName("passenger_ready", "gauge", "1 while /readyz says so.")
LOOP_LAG: Final = MetricName(
    "passenger_event_loop_lag_seconds", "histogram", "How late the core's event loop comes to a timer, twice a second."
)
SCRAPE_CPU: Final = MetricName(
    "passenger_scrape_core_seconds", "gauge", "CPU time that the previous answer to /metrics took the core."
)
IN_PROGRESS: Final = MetricName("passenger_requests_in_progress", "gauge", "Connections from the web server.")
MALFORMED: Final = MetricName(
    "passenger_malformed_requests_total", "counter", "Requests of the web server that were none, answered 400."
)
ABORTED: Final = MetricName(
    "passenger_aborted_requests_total", "counter", "Requests whose client left before the response was whole."
)
TUNNELS: Final = MetricName("passenger_tunnels", "gauge", "Open WebSockets and the like.")
UPGRADES: Final = MetricName("passenger_upgrades_total", "counter", "Requests that became tunnels.")
POOL_LIMIT: Final = MetricName("passenger_pool_size_limit", "gauge", "`max_pool_size`.")
HOOKS: Final = MetricName("passenger_hook_runs_total", "counter", "Events that hooks wait for.", ("event", "outcome"))
TELEMETRY_RECORDS: Final = MetricName(
    "passenger_telemetry_records_total", "counter", "Records that the core has told telemetry."
)
TELEMETRY_DROPPED: Final = MetricName(
    "passenger_telemetry_dropped_total", "counter", "Records that got lost on the way.", ("sink", "cause")
)
TELEMETRY_WAITING: Final = MetricName(
    "passenger_telemetry_waiting_records", "gauge", "Records that wait, in the core and for each sink.", ("sink",)
)

REQUESTS: Final = MetricName(
    "passenger_requests_total", "counter", "Requests that are over, since /metrics was asked first.", ("app", "status")
)
DURATION: Final = MetricName(
    "passenger_request_duration_seconds",
    "histogram",
    "From the arrival of a request in the core to the end of its response.",
    _APP,
)
QUEUE_WAIT: Final = MetricName(
    "passenger_queue_wait_seconds", "histogram", "How long requests waited for a process that got one.", _APP
)
APPLICATION: Final = MetricName(
    "passenger_application_seconds", "histogram", "How long a process worked on a request.", _APP
)
SENT: Final = MetricName("passenger_response_bytes_total", "counter", "Sent to the web server.", _APP)
DEPARTED: Final = MetricName(
    "passenger_departed_clients_total", "counter", "Requests whose client left while they waited in the queue.", _APP
)
ACCEPTED: Final = MetricName(
    "passenger_requests_received_total", "counter", "Requests for a process, since the core started.", _APP
)
REFUSED: Final = MetricName(
    "passenger_refusals_total", "counter", "Requests that Passenger answered itself.", ("app", "reason")
)
OVER_TIME: Final = MetricName(
    "passenger_requests_over_time_total", "counter", "Requests that ran longer than `max_request_time`.", _APP
)
OVER_TIME_ENDS: Final = MetricName(
    "passenger_over_time_ends_total",
    "counter",
    "How such requests were ended: alone, or with their process.",
    ("app", "outcome"),
)
QUEUE: Final = MetricName("passenger_queue_length", "gauge", "Requests that wait for a process.", _APP)
QUEUE_LIMIT: Final = MetricName("passenger_queue_limit", "gauge", "`max_request_queue_size`; 0 = no limit.", _APP)
HELD: Final = MetricName("passenger_held_requests", "gauge", "Requests that a pause holds.", _APP)
PROCESSES: Final = MetricName("passenger_processes", "gauge", "Processes by state.", ("app", "state"))
PROCESS_LIMIT: Final = MetricName("passenger_processes_limit", "gauge", "`max_instances`, else `max_pool_size`.", _APP)
PLACES: Final = MetricName(
    "passenger_places", "gauge", "Requests that the enabled processes can run at a time; +Inf = no limit.", _APP
)
PLACES_TAKEN: Final = MetricName("passenger_places_taken", "gauge", "Requests that they run now.", _APP)
OUTDATED: Final = MetricName(
    "passenger_processes_outdated", "gauge", "Processes that run what was there before the latest restart.", _APP
)
SPAWNS: Final = MetricName("passenger_spawns_total", "counter", "Starts of a process.", _APP)
SPAWN_FAILURES: Final = MetricName("passenger_spawn_failures_total", "counter", "Starts that failed.", _APP)
SPAWN_STEPS: Final = MetricName(
    "passenger_spawn_step_seconds", "summary", "What the steps of starts took that are over.", ("app", "step")
)
BACKING_OFF: Final = MetricName(
    "passenger_backing_off_seconds", "gauge", "Until the next start after failed ones; 0 = none is put off.", _APP
)
EXITS: Final = MetricName("passenger_process_exits_total", "counter", "Processes that ended.", _APP)
CRASHES: Final = MetricName(
    "passenger_process_crashes_total", "counter", "Processes that ended although nobody had asked them to.", _APP
)
RESTARTS: Final = MetricName("passenger_restarts_total", "counter", "Restarts of the application.", _APP)
RESTARTS_FAILED: Final = MetricName("passenger_restarts_failed_total", "counter", "Restarts that failed.", _APP)
MEMORY: Final = MetricName(
    "passenger_memory_bytes", "gauge", "Memory of the processes and the preloader of an application.", ("app", "kind")
)
MEMORY_UNKNOWN: Final = MetricName(
    "passenger_memory_unknown_processes",
    "gauge",
    "Processes whose memory is not in the figures (yet): a few are read per scrape, or the kernel shows none.",
)
MEMORY_AGE: Final = MetricName(
    "passenger_memory_age_seconds", "gauge", "Age of the oldest of the figures of memory that are shown."
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, MetricName))
