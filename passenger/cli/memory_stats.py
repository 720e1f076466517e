"""`passenger memory-stats` and `passenger-memory-stats`: what nginx, Passenger and the applications take."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from passenger.cli.colour import wants_colour
from passenger.cli.configuration import report_width
from passenger.cli.memoryview import memory_lines, totals
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.poolview import emphasised, plain
from passenger.cli.processes import Seen, seen_processes
from passenger.cli.running import chosen_instance, running_instances
from passenger.cli.snapshot import core_status
from passenger.errors import EXIT_OK, InstanceSelectionError, PassengerError
from passenger.instance.registry import InstanceRecord

WHOLE = 10_000
"""Columns where nobody has a terminal that could be too narrow."""
TIMEOUT = 3.0
"""Seconds for the names of applications, which are not worth waiting for."""

NEEDS_ROOT = "some figures may not be read by this user: use sudo to see private memory and PSS of all processes"


@click.command(
    epilog=examples("passenger memory-stats", "passenger memory-stats --instance main --format json"),
)
@instance_option
@registry_option
@format_option("text", "json")
def memory_stats(*, instance: str | None, registry: str | None, form: str) -> int:
    """Show the memory of nginx, Passenger and application processes, of all running instances or of one.

    VMSize is address space, Private is what would be freed if the process ended, PSS counts a page that n processes
    share as 1/n: the sum of PSS is what they really take together.
    """
    records = [chosen_instance(instance, registry)] if instance is not None else running_instances(registry)
    if not records:
        raise InstanceSelectionError("no instance is running", hint="start one with `passenger start`")
    processes = seen_processes(record.watchdog_pid for record in records)
    apps = _apps(records)
    if form == "json":
        document = {
            "processes": [{**asdict(seen), "app": apps.get(seen.pid)} for seen in processes],
            "totals": totals(processes),
        }
        print(json.dumps(document, indent=2))
    else:
        heading = emphasised if wants_colour(sys.stdout, os.environ) else plain
        width = report_width() if sys.stdout.isatty() else WHOLE
        print("\n".join(memory_lines(processes, apps, width=width, heading=heading)))
    if _is_partial(processes) and os.geteuid() != 0:
        print(f"warning: {NEEDS_ROOT}", file=sys.stderr)
    return EXIT_OK


def _apps(records: Sequence[InstanceRecord]) -> dict[int, str]:
    """Pid -> application, as far as the cores tell: without them the tables are as complete."""
    found: dict[int, str] = {}
    for record in records:
        try:
            groups = core_status(record, timeout=TIMEOUT)["pool"]["groups"]
        except PassengerError:
            continue
        for group in groups:
            found |= {process["pid"]: group["name"] for process in group["processes"]}
            if preloader := group["preloader"]:
                found[preloader["pid"]] = f"{group['name']} (preloader)"
    return found


def _is_partial(processes: Sequence[Seen]) -> bool:
    return any(seen.pss is None for seen in processes)
