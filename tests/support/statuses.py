"""Ready-made status documents."""

from __future__ import annotations

from typing import Any

from passenger.wire.status import CoreStatus, GroupStatus, ProcessStatus


def process(pid: int = 4711, **changes: Any) -> ProcessStatus:
    """One healthy process."""
    base: ProcessStatus = {
        "pid": pid,
        "gupid": f"1a-{pid}",
        "state": "enabled",
        "generation": 1,
        "outdated": False,
        "retired_because": "",
        "cut_in": None,
        "concurrency": 1,
        "sessions": 0,
        "processed": 3,
        "spawn_seconds": 0.4,
        "uptime": 302.9,
        "idle_for": 3.2,
        "rss": 40 * 1024 * 1024,
        "pss": 25 * 1024 * 1024,
        "private": 20 * 1024 * 1024,
        "cpu_seconds": 30.29,
    }
    return base | changes  # type: ignore[return-value]


def group(name: str = "blog", **changes: Any) -> GroupStatus:
    """One application with one process."""
    base: GroupStatus = {
        "name": name,
        "app_root": f"/srv/{name}",
        "app_type": "wsgi",
        "app_env": "production",
        "min_instances": 1,
        "max_instances": 6,
        "queue": 0,
        "max_request_queue_size": 100,
        "spawning": 0,
        "backing_off_for": 0.0,
        "generation": 1,
        "restart": None,
        "preloader": None,
        "last_error": None,
        "limits": None,
        "traffic": None,
        "retirements": [],
        "counters": {
            "requests": 3,
            "refused_queue_full": 0,
            "refused_spawn_failed": 0,
            "requests_over_time": 0,
            "requests_interrupted": 0,
            "processes_over_time": 0,
            "refused_queue_time": 0,
            "departed_in_queue": 0,
            "spawns": 1,
            "spawn_failures": 0,
            "exits": 0,
            "crashes": 0,
            "restarts": 0,
            "restarts_failed": 0,
        },
        "processes": [process()],
    }
    return base | changes  # type: ignore[return-value]


def core(*groups: GroupStatus, **changes: Any) -> CoreStatus:
    """A running core with the given applications."""
    base: CoreStatus = {
        "name": "main",
        "version": "0.1.0",
        "core_pid": 102,
        "started_at": 1_000_000.0,
        "uptime": 3661.0,
        "state": "running",
        "drained_at": None,
        "pool": {
            "max_pool_size": 6,
            "processes": sum(len(item["processes"]) for item in groups),
            "spawning": 0,
            "queue": 0,
            "groups": list(groups),
        },
        "requests": {"active": 1, "handled": 42, "malformed": 0, "aborted": 2, "upgraded": 0, "tunnels": 0},
    }
    return base | changes  # type: ignore[return-value]


def watchdog() -> dict[str, object]:
    """The watchdog's answer to `status`."""
    return {
        "ok": True,
        "state": "running",
        "watchdog_pid": 101,
        "components": [
            {"name": "core", "pid": 102, "state": "running", "restarts": 0, "uptime": 3661.0},
            {"name": "nginx", "pid": None, "state": "waiting", "restarts": 4, "uptime": None},
        ],
        "urls": {"blog": "http://127.0.0.1:8080/"},
        "config_files": ["/etc/passenger/passenger.toml"],
    }


def restart(state: str = "done", **changes: Any) -> dict[str, object]:
    """The latest restart of an application of five processes."""
    base: dict[str, object] = {
        "state": state,
        "method": "rolling",
        "why": "restart.txt",
        "generation": 2,
        "done": 5 if state == "done" else 2,
        "total": 5,
        "began_at": 1_003_600.0,
        "ended_at": None if state == "running" else 1_003_641.0,
        "error": {"id": "abc", "summary": "it broke", "at": 1_003_641.0} if state == "failed" else None,
    }
    return base | changes
