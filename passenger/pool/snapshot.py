"""The pool as `status` shows it. Memory and CPU figures are left to the core, which looks at the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from passenger.pool.ledger import Ledger
from passenger.pool.model import Generation, Group, Process, ProcessState, Retirement
from passenger.wire.status import (
    GroupCounters,
    GroupStatus,
    LastError,
    PoolStatus,
    PreloaderStatus,
    ProcessStatus,
    ProcessWord,
    RestartStatus,
    RetirementStatus,
)

_STATES: Final[dict[ProcessState, ProcessWord]] = {
    ProcessState.ENABLED: "enabled",
    ProcessState.ASIDE: "aside",
    ProcessState.DRAINING: "draining",
    ProcessState.STOPPING: "stopping",
    ProcessState.GONE: "stopping",
}

PreloaderOf = Callable[[Generation], int | None]


def pool_status(ledger: Ledger, *, now: float, wall: float, preloader_of: PreloaderOf) -> PoolStatus:
    """Every group with every process that has not ended. `preloader_of` knows the preloader's pid.

    `now` is monotonic, `wall` the same moment since the epoch.
    """
    groups = ledger.all_groups()
    return {
        "max_pool_size": ledger.limits.max_pool_size,
        "processes": sum(len(group.processes) for group in groups),
        "spawning": ledger.spawning,
        "queue": len(ledger.waiting),
        "groups": [_group(ledger, group, now, wall, preloader_of) for group in groups],
    }


def _group(ledger: Ledger, group: Group, now: float, wall: float, preloader_of: PreloaderOf) -> GroupStatus:
    app = group.app
    preloader = preloader_of(group.refilling)
    return {
        "name": group.name,
        "app_root": app.app_root,
        "app_type": app.app_type or "",
        "app_env": app.app_env,
        "min_instances": app.min_instances,
        "max_instances": app.max_instances or ledger.limits.max_pool_size,
        "queue": len(group.waiters) + group.pinned,
        "max_request_queue_size": app.max_request_queue_size,
        "spawning": len(group.spawning),
        "backing_off_for": round(group.backoff.remaining(now), 3),
        "generation": group.generation.number,
        "restart": _restart(group, wall - now),
        "preloader": None if preloader is None else _preloader(preloader),
        "last_error": _last_error(group),
        "counters": _counters(group),
        "limits": None,
        "traffic": None,
        "retirements": [_retirement(one, wall - now) for one in group.retirements],
        "processes": [_process(process, now) for process in group.processes],
    }


def _retirement(one: Retirement, since: float) -> RetirementStatus:
    return {"pid": one.pid, "why": one.why, "at": round(one.at + since, 3), "processed": one.processed}


def _preloader(pid: int) -> PreloaderStatus:
    return {"pid": pid, "rss": None, "pss": None, "private": None}


def _restart(group: Group, since: float) -> RestartStatus | None:
    """`since` makes a moment of the wall clock out of a monotonic one."""
    restart = group.restart
    if restart is None:
        return None
    ended_at = None if restart.is_running() else round(restart.ended_at + since, 3)
    error = restart.error
    return {
        "state": "running" if restart.is_running() else "failed" if restart.has_failed() else "done",
        "method": restart.method,
        "why": restart.why,
        "generation": restart.generation,
        "done": restart.done(group),
        "total": restart.total,
        "began_at": round(restart.began_at + since, 3),
        "ended_at": ended_at,
        "error": None
        if error is None
        else {"id": error.error_id, "summary": error.summary, "at": round(restart.ended_at + since, 3)},
    }


def _last_error(group: Group) -> LastError | None:
    if group.last_error is None:
        return None
    return {"id": group.last_error.error_id, "summary": group.last_error.summary, "at": group.last_error_at}


def _counters(group: Group) -> GroupCounters:
    counters = group.counters
    return {
        "requests": counters.requests,
        "refused_queue_full": counters.refused_queue_full,
        "refused_queue_time": counters.refused_queue_time,
        "refused_spawn_failed": counters.refused_spawn_failed,
        "departed_in_queue": counters.departed_in_queue,
        "requests_over_time": counters.requests_over_time,
        "requests_interrupted": counters.requests_interrupted,
        "processes_over_time": counters.processes_over_time,
        "spawns": counters.spawns,
        "spawn_failures": counters.spawn_failures,
        "exits": counters.exits,
        "crashes": counters.crashes,
        "restarts": counters.restarts,
        "restarts_failed": counters.restarts_failed,
    }


def _process(process: Process, now: float) -> ProcessStatus:
    return {
        "pid": process.pid,
        "gupid": process.gupid,
        "state": "working" if process in process.group.errands else _STATES[process.state],
        "generation": process.generation.number,
        "outdated": process in process.group.outdated,
        "retired_because": process.retired_why or process.group.outlived.get(process, ""),
        "cut_in": _cut_in(process, now),
        "concurrency": process.concurrency,
        "sessions": process.sessions,
        "processed": process.processed,
        "spawn_seconds": round(process.spawn_seconds, 3),
        "uptime": round(now - process.started_at, 3),
        "idle_for": 0.0 if process.sessions else round(now - process.last_used, 3),
        "rss": None,
        "pss": None,
        "private": None,
        "cpu_seconds": None,
    }


def _cut_in(process: Process, now: float) -> float | None:
    limit = process.group.app.drain_timeout
    if process.state is not ProcessState.DRAINING or not limit:
        return None
    return round(max(0.0, process.retired_at + limit - now), 3)
