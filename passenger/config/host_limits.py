"""Limits of applications on this machine: what may be set here, which CPUs there are, whether memory suffices."""

from __future__ import annotations

from collections.abc import Mapping

from passenger.config import amounts
from passenger.config.bounds import CGROUP_CONTROLLERS, Bounds, beyond, controllers, rlimits, wants_cgroup
from passenger.config.cross import app_key
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.host import Host
from passenger.config.model import App
from passenger.config.units import rough_size_text
from passenger.log import printable


def check_limits(document: Document, apps: Mapping[str, App], findings: Findings, host: Host) -> None:
    """Report every limit that cannot be set here, and limits that are too high together."""
    limited = {name: app for name, app in apps.items() if _has_any(app)}
    if not limited:
        return
    bounds = host.bounds()
    for name, app in limited.items():
        _app(document, name, app, findings, bounds)
    for instance in sorted({app.instance or "" for app in limited.values()}):
        _memory(document, {name: app for name, app in limited.items() if app.instance == instance}, findings, bounds)


def _has_any(app: App) -> bool:
    """Whether there is anything to ask the machine about."""
    keys = (app.nice, app.oom_score_adj, app.memory_limit, app.hard_memory_limit, app.cpu_affinity or None)
    return any(value is not None for value in keys) or bool(rlimits(app)) or wants_cgroup(app)


def _app(document: Document, name: str, app: App, findings: Findings, bounds: Bounds) -> None:
    for found in beyond(app, bounds):
        may = bounds.may_hurry if found.keys == ("nice",) else bounds.may_raise
        if not may:
            path = app_key(document, name, *found.keys) or ("apps", name, *found.keys)
            findings.add(
                "E420",
                path,
                f'`{".".join(found.keys)}` of app "{printable(name)}" cannot be set: {found.own}',
                label="beyond what Passenger may set",
                help="choose a value within the limit, raise that of Passenger itself (systemd: `LimitNOFILE=`, "
                "`Nice=`, `OOMScoreAdjust=`), or start it as root, in a container with the capability for it",
            )
    _cpus(document, name, app, findings, bounds)
    if wants_cgroup(app):
        _cgroup(document, name, app, findings, bounds)


def _memory(document: Document, apps: Mapping[str, App], findings: Findings, bounds: Bounds) -> None:
    """Warn when the applications of an instance may take more memory than there is."""
    if bounds.memory is None:
        return
    total, places = 0, []
    for name, app in apps.items():
        limit = amounts.memory(app.hard_memory_limit or app.memory_limit, bounds.memory)
        key = "hard_memory_limit" if app.hard_memory_limit else "memory_limit"
        if limit is None or (path := app_key(document, name, key)) is None:
            continue
        count = app.max_instances or max(1, app.min_instances)
        total += count * limit
        places.append((path, f"{count} x {rough_size_text(limit)}"))
    if total > bounds.memory:
        findings.add(
            "W420",
            places[0][0],
            f"the memory limits allow {rough_size_text(total)}, and there are {rough_size_text(bounds.memory)}",
            label=places[0][1],
            help="lower the limits or `max_instances`, or the kernel may have to kill processes",
            also=tuple((path, "value", text) for path, text in places[1:6] if path != places[0][0]),
        )


def _cpus(document: Document, name: str, app: App, findings: Findings, bounds: Bounds) -> None:
    path = app_key(document, name, "cpu_affinity")
    if path is None or bounds.cpus is None:
        return
    for index, cpu in enumerate(app.cpu_affinity):
        if cpu not in bounds.cpus:
            findings.add(
                "E421",
                (*path, index),
                f"CPU {cpu} does not exist here, or Passenger may not use it",
                label=f"there are {_ranges(sorted(bounds.cpus))}",
            )


def _cgroup(document: Document, name: str, app: App, findings: Findings, bounds: Bounds) -> None:
    missing = sorted(controllers(app) - bounds.cgroup_controllers)
    problem = bounds.cgroup_problem
    if not problem and missing:
        problem = f"the controller{'s' if len(missing) > 1 else ''} {', '.join(missing)} cannot be used there"
    if not problem:
        return
    keys = [key for key in CGROUP_CONTROLLERS if getattr(app.cgroup, key) is not None]
    path: Path = app_key(document, name, "cgroup", keys[0]) or ("apps", name, "cgroup")
    findings.add(
        "E422",
        path,
        f'no cgroup can be made for app "{printable(name)}": {problem}',
        at="key",
        label="needs a delegated cgroup v2",
        help="run Passenger as a systemd service with `Delegate=yes`; `passenger validate` looks at the cgroup that it "
        "runs in itself (`--no-environment` leaves this out)",
    )


def _ranges(numbers: list[int]) -> str:
    """`0-3, 6`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)
