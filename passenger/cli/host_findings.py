"""What `passenger doctor` looks at on this machine beside the configuration: sizes, limits, registries, what runs."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from passenger.cli.checks import Finding, good
from passenger.cli.poolview import MIB
from passenger.cli.running import registries
from passenger.cli.snapshot import take
from passenger.config.model import InstanceConfig
from passenger.core.sizing import MEMORY_PER_PROCESS, pool_size
from passenger.errors import PassengerError
from passenger.instance.registry import InstanceRecord, find_instances
from passenger.posix.cgroup import Room

FEW_FILES: Final = 4096
"""Open files with which a busy instance runs out: each request takes two in nginx and two in the core."""
LITTLE_SPACE: Final = 16 * MIB
MANY_RESTARTS: Final = 3


def room(cpus: Room[float], memory: Room[int | None]) -> Iterator[Finding]:
    """What may be used here, and who says so."""
    yield good("CPUs", f"{cpus.amount:g}: {cpus.why}")
    if memory.amount is None:
        yield Finding("warn", "memory", "unknown", "set `max_pool_size`: the pool cannot be sized by memory")
    else:
        yield good("memory", f"{memory.amount / MIB:.0f} MB: {memory.why}")


def sizing(cpus: float, memory: int | None, config: InstanceConfig | None) -> Finding:
    """How many application processes fit, and why."""
    by_cpu = f"2 x {cpus:g} CPUs + 2 = {round(2 * cpus) + 2}"
    fit = None if memory is None else memory // MEMORY_PER_PROCESS
    by_memory = (
        "memory unknown" if fit is None else f"{(memory or 0) / MIB:.0f} MB / {MEMORY_PER_PROCESS // MIB} MB = {fit}"
    )
    default = pool_size(cpus=cpus, memory=memory)
    how = f"default {default}: the smaller of {by_cpu} and {by_memory}, at least 2"
    name = "max_pool_size" if config is None else f"max_pool_size of {config.name}"
    configured = None if config is None else config.instance.core.max_pool_size
    if configured is None:
        return good(name, how)
    if fit is not None and configured > max(fit, 2):
        todo = f"lower it to {max(fit, 2)}, or give the applications a `memory_limit` that fits"
        return Finding("warn", name, f"{configured} processes may need more memory than there is; {how}", todo)
    return good(name, f"{configured}, configured; {how}")


def open_files(hard: int, config: InstanceConfig | None) -> Finding:
    """The hard limit of descriptors, against what nginx is told to serve."""
    shown = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    wanted = FEW_FILES if config is None else max(FEW_FILES, 2 * config.instance.nginx.worker_connections)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        todo = f"raise it to {wanted} or more (LimitNOFILE= of the unit, --ulimit nofile= of the container)"
        return Finding("warn", "open files", f"hard limit {shown}: connections are refused at the peak", todo)
    return good("open files", f"hard limit {shown}")


def registry_findings(registry: str | None) -> Iterator[Finding]:
    """Each registry: whether there is room, and what dead instances left in it."""
    euid = os.geteuid()
    for folder in registries(registry, os.environ, euid):
        if not Path(folder).is_dir():
            yield good("registry", f"{folder} is made by the first start")
            continue
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            yield Finding("warn", "registry", f"{folder} cannot be listed: {error.strerror}", "use sudo")
            continue
        yield _space(folder)
        alive = {record.name for record in find_instances(folder, os.environ, euid)}
        for name in names:
            if name not in alive:
                yield _stale(f"{folder}/{name}")


def _space(folder: str) -> Finding:
    facts = os.statvfs(folder)
    free = facts.f_bavail * facts.f_frsize
    if free < LITTLE_SPACE:
        todo = "make room: a reload writes files there, and nginx keeps large requests there"
        return Finding("warn", "registry", f"{folder} has {free / MIB:.1f} MB left", todo)
    return good("registry", f"{folder}, {free / MIB:.0f} MB free")


def _stale(folder: str) -> Finding:
    """An instance that is just starting looks the same for a moment."""
    todo = "a start of the same name clears it; else remove it when you know that nothing of it runs"
    return Finding("warn", "dead instance", f"{folder} belongs to no running instance", todo)


def running_findings(records: Sequence[InstanceRecord]) -> Iterator[Finding]:
    """How the running instances are."""
    for record in records:
        what = f"instance {record.name}"
        try:
            snapshot = take(record, timeout=5.0)
        except PassengerError as error:
            yield Finding("fail", what, error.message, error.hint)
            continue
        if snapshot.core is None:
            todo = "look at its log; `passenger status` shows what the watchdog does about it"
            yield Finding("fail", what, f"the core does not answer: {snapshot.trouble}", todo)
            continue
        restarts = sum(int(part.get("restarts") or 0) for part in snapshot.watchdog.get("components") or ())
        state = snapshot.watchdog.get("state", "?")
        broken = [group["name"] for group in snapshot.core["pool"]["groups"] if group["backing_off_for"] > 0]
        if broken:
            yield Finding("fail", what, f"cannot start {', '.join(broken)}", "passenger status shows the last error")
        elif restarts > MANY_RESTARTS:
            todo = "the log says why they ended"
            yield Finding("warn", what, f"{state}, but its components were restarted {restarts} times", todo)
        else:
            yield good(what, f"{state}, {snapshot.core['pool']['processes']} application processes")
