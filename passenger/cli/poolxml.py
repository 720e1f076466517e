"""The pool in the XML of `passenger-status --show=xml`, for the monitors that read Passenger's. Pure.

Rules.
1. Names, nesting and units are Passenger's (`info version="3"`): moments in microseconds since the epoch, memory in
   KiB. What does not exist here is left out, not invented.
2. No secret: there is none in a CoreStatus.
3. Characters that XML cannot carry are made visible first.
"""

from __future__ import annotations

from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from passenger.cli.poolview import duration
from passenger.log import printable
from passenger.wire.status import CoreStatus, GroupStatus, ProcessStatus

MICROSECONDS: Final = 1_000_000
KIB: Final = 1024


def pool_xml(core: CoreStatus, *, now: float) -> str:
    """The document. `now` is wall time in seconds since the epoch."""
    pool = core["pool"]
    info = Element("info", version="3")
    _fields(info, {
        "passenger_version": core["version"],
        "group_count": len(pool["groups"]),
        "process_count": pool["processes"],
        "max": pool["max_pool_size"],
        "capacity_used": pool["processes"] + pool["spawning"],
        "get_wait_list_size": pool["queue"],
    })  # fmt: skip
    supergroups = SubElement(info, "supergroups")
    for group in pool["groups"]:
        supergroup = SubElement(supergroups, "supergroup")
        _fields(supergroup, {
            "name": f"{group['name']} ({group['app_env']})",
            "state": "READY",
            "get_wait_list_size": group["queue"],
            "capacity_used": len(group["processes"]) + group["spawning"],
        })  # fmt: skip
        _group(SubElement(supergroup, "group", default="true"), group, now)
    indent(info)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(info, encoding="unicode")


def _group(element: Element, group: GroupStatus, now: float) -> None:
    states = [process["state"] for process in group["processes"]]
    _fields(element, {
        "name": group["name"],
        "app_root": group["app_root"],
        "app_type": group["app_type"],
        "environment": group["app_env"],
        "uuid": group["generation"],
        "enabled_process_count": states.count("enabled"),
        "disabling_process_count": states.count("draining"),
        "disabled_process_count": len(states) - states.count("enabled") - states.count("draining"),
        "capacity_used": len(states) + group["spawning"],
        "get_wait_list_size": group["queue"],
        "processes_being_spawned": group["spawning"],
        "life_status": "ALIVE",
    })  # fmt: skip
    _fields(SubElement(element, "options"), {
        "app_root": group["app_root"],
        "app_type": group["app_type"],
        "environment": group["app_env"],
        "min_processes": group["min_instances"],
        "max_processes": group["max_instances"],
        "max_request_queue_size": group["max_request_queue_size"],
    })  # fmt: skip
    processes = SubElement(element, "processes")
    for process in group["processes"]:
        _process(SubElement(processes, "process"), process, group, now)


def _process(element: Element, process: ProcessStatus, group: GroupStatus, now: float) -> None:
    ended = now - process["uptime"]
    leaving = process["state"] in {"draining", "stopping"}
    cpu, uptime = process["cpu_seconds"], process["uptime"]
    _fields(element, {
        "pid": process["pid"],
        "gupid": process["gupid"],
        "concurrency": process["concurrency"],
        "sessions": process["sessions"],
        "busyness": _busyness(process),
        "processed": process["processed"],
        "spawn_start_time": _moment(ended - process["spawn_seconds"]),
        "spawn_end_time": _moment(ended),
        "last_used": _moment(now - process["idle_for"]),
        "last_used_desc": f"{duration(process['idle_for'])} ago",
        "uptime": duration(process["uptime"]),
        "life_status": "SHUTDOWN_TRIGGERED" if process["state"] == "stopping" else "ALIVE",
        "enabled": "DETACHED" if leaving else "ENABLED" if process["state"] == "enabled" else "DISABLED",
        "has_metrics": "true" if process["rss"] is not None else None,
        "cpu": None if cpu is None or uptime <= 0 else round(100 * cpu / uptime),
        "rss": _kib(process["rss"]),
        "pss": _kib(process["pss"]),
        "private_dirty": _kib(process["private"]),
        "real_memory": _kib(process["private"] if process["private"] is not None else process["rss"]),
        "process_group_id": process["pid"] if group["preloader"] is None else None,
    })  # fmt: skip


def _busyness(process: ProcessStatus) -> int:
    """Passenger's measure: sessions, or their share of the concurrency in units of 1 / INT_MAX."""
    concurrency = process["concurrency"]
    return process["sessions"] * (2**31 - 1) // concurrency if concurrency else process["sessions"]


def _fields(element: Element, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is not None:
            SubElement(element, name).text = printable(str(value))


def _moment(wall: float) -> int:
    return round(wall * MICROSECONDS)


def _kib(size: int | None) -> int | None:
    return None if size is None else size // KIB
