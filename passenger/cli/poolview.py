"""The pool as operators of Passenger know it from `passenger-status`: a CoreStatus as lines of text. Pure.

Rules.
1. Labels and their order are those of Passenger's own report: scripts look for them.
2. What came from an application (names, paths, error summaries) is shown with control characters made visible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from passenger.log import printable
from passenger.wire.status import (
    CoreStatus,
    GroupStatus,
    LimitStatus,
    PreloaderStatus,
    ProcessStatus,
    RestartStatus,
    TrafficStatus,
)

MIB = 1024 * 1024
Paint = Callable[[str], str]


def plain(text: str) -> str:
    return text


def emphasised(text: str) -> str:
    """Bold blue, as Passenger paints its headings."""
    return f"\x1b[1;34m{text}\x1b[0m"


def pool_lines(core: CoreStatus, *, now: float, heading: Paint = plain, verbose: bool = False) -> Iterator[str]:
    """The report, line by line. `now` is wall time in seconds since the epoch."""
    pool = core["pool"]
    yield heading("----------- General information -----------")
    yield f"Max pool size : {pool['max_pool_size']}"
    yield f"App groups    : {len(pool['groups'])}"
    yield f"Processes     : {pool['processes']}"
    yield f"Requests in top-level queue : {pool['queue']}"
    yield ""
    yield heading("----------- Application groups -----------")
    for group in pool["groups"]:
        yield from _group(group, now, verbose=verbose)
        yield ""


def _group(group: GroupStatus, now: float, *, verbose: bool) -> Iterator[str]:
    yield printable(f"{group['name']} ({group['app_env']}):")
    yield printable(f"  App root: {group['app_root']}")
    yield f"  Requests in queue: {group['queue']}"
    if traffic := group["traffic"]:
        yield from _traffic(traffic, now)
    if group["spawning"]:
        yield f"  (spawning {group['spawning']} new process{'es' if group['spawning'] > 1 else ''}...)"
    if group["backing_off_for"] > 0:
        yield f"  (keeps failing; next try in {duration(group['backing_off_for'])})"
    if restart := group["restart"]:
        yield printable(_restart(restart, now))
        if restart["state"] == "failed" and restart["done"] < restart["total"] and group["processes"]:
            yield "    The old code serves on; nothing is tried again before the next restart"
    if (error := group["last_error"]) and not (restart and restart["error"] and restart["error"]["id"] == error["id"]):
        yield printable(f"  Last error: {error['summary']} (id {error['id']}, {duration(now - error['at'])} ago)")
    if limits := _limits(group["limits"]):
        yield f"  Limits: {limits}"
    if group["retirements"]:
        last = group["retirements"][-1]
        yield printable(f"  Last retired: PID {last['pid']} ({last['why']}), {duration(now - last['at'])} ago")
    if preloader := group["preloader"]:
        yield f"  Preloader: PID {preloader['pid']}   Memory: {_memory(preloader)}"
    if verbose:
        counters = group["counters"].items()
        yield "  Counters: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counters)
    for process in group["processes"]:
        yield from _process(process, verbose=verbose)


def _traffic(traffic: TrafficStatus, now: float) -> Iterator[str]:
    """What an operator has closed, in capitals: it is easily forgotten."""
    if (since := traffic["maintenance_at"]) is not None:
        allowed = f", {', '.join(traffic['allow'])} may pass" if traffic["allow"] else ""
        yield printable(
            f"  UNDER MAINTENANCE for {duration(now - since)}: {traffic['turned_away']} requests turned away{allowed}"
        )
    if (since := traffic["paused_at"]) is not None:
        lost = [f"{traffic[word]} {word}" for word in ("expired", "refused") if traffic[word]]
        yield f"  PAUSED for {duration(now - since)}: " + ", ".join([f"{traffic['held']} requests held", *lost])


def _limits(limits: LimitStatus | None) -> str:
    """What its processes are held to; "" for nothing."""
    if limits is None:
        return ""
    shown = [
        f"max_requests {limits['max_requests']}" if limits["max_requests"] else "",
        f"max_worker_age {duration(limits['max_worker_age'])}" if limits["max_worker_age"] else "",
        f"memory_limit {_size(limits['memory_limit'])}" if limits["memory_limit"] else "",
        f"hard_memory_limit {_size(limits['hard_memory_limit'])}" if limits["hard_memory_limit"] else "",
        f"cgroup {printable(limits['cgroup'])} ({_size(limits['cgroup_memory'])} in use)" if limits["cgroup"] else "",
    ]
    return ", ".join(text for text in shown if text)


def _restart(restart: RestartStatus, now: float) -> str:
    """The latest restart, in one line; it is the operator's first question after a deploy."""
    what = f"  Restart ({restart['why']}): "
    replaced = f"{restart['done']} of {restart['total']} replaced"
    if restart["state"] == "running":
        return what + f"{replaced}, began {duration(now - restart['began_at'])} ago"
    ago = f"{duration(now - (restart['ended_at'] or now))} ago"
    if (error := restart["error"]) is None:
        return what + f"done {ago}"
    return what + f"FAILED {ago}, {replaced}: {error['summary']} (id {error['id']})"


def _state(process: ProcessStatus) -> str:
    """What is special about a process; "" for one that serves, and runs what the others run."""
    if process["state"] == "enabled":
        if process["retired_because"]:
            return f"Serves until it is replaced ({process['retired_because']})"
        return "Old code, until it is replaced" if process["outdated"] else ""
    if process["state"] == "aside":
        return "Ready, waits for the others"
    if process["state"] == "working":
        return "Out-of-band work, takes no requests"
    why = f" ({process['retired_because']})" if process["retired_because"] else ""
    if process["state"] == "stopping":
        return "Shutting down..." + why
    cut_in = process["cut_in"]
    return "Draining..." + why + (f", requests are cut in {duration(cut_in)}" if cut_in is not None else "")


def _process(process: ProcessStatus, *, verbose: bool) -> Iterator[str]:
    yield (
        f"  * PID: {process['pid']:<5}   Sessions: {process['sessions']:<2}      "
        f"Processed: {process['processed']:<5}   Uptime: {duration(process['uptime'])}"
    )
    yield (
        f"    CPU: {_cpu(process):<5}  Memory  : {_memory(process):<5}   Last used: {duration(process['idle_for'])} ago"
    )
    if state := _state(process):
        yield printable(f"    {state}")
    if verbose:
        named = f"GUPID: {printable(process['gupid'])}   Concurrency: {process['concurrency']}"
        named += f"   Generation: {process['generation']}"
        yield f"    {named}   Private: {_size(process['private'])}"


def _cpu(process: ProcessStatus) -> str:
    """Share of one CPU over the life of the process, as `ps` defines it."""
    if process["cpu_seconds"] is None or process["uptime"] <= 0:
        return "?"
    return f"{100 * process['cpu_seconds'] / process['uptime']:.0f}%"


def _memory(process: ProcessStatus | PreloaderStatus) -> str:
    """What the process costs: its share of shared pages counted once (PSS), else its resident size."""
    return _size(process["pss"] if process["pss"] is not None else process["rss"])


def _size(size: int | None) -> str:
    return "?" if size is None else f"{max(1, round(size / MIB))}M"


def duration(seconds: float) -> str:
    """`5m 2s`: days, hours, minutes and seconds, without leading zeros."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if left >= unit or parts:
            parts.append(f"{left // unit}{name}")
            left %= unit
    return " ".join((*parts, f"{left}s"))


def stamp(wall: float) -> str:
    """Local date and time with the offset from UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(wall))
