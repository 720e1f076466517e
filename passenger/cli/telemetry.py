"""`passenger telemetry`: what becomes of the records that an instance tells, and having them delivered."""

from __future__ import annotations

import json
from typing import Any

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_FAILED, EXIT_OK
from passenger.instance.registry import InstanceRecord
from passenger.log import printable

GRACE = 5.0
"""Seconds that an answer may take beyond the time that was asked for."""
_SHOWN = (
    ("sent", "delivered"),
    ("waiting", "waiting"),
    ("spool_sent", "delivered from disk"),
    ("on_disk", "on disk"),
    ("rejected", "rejected"),
    ("dropped", "dropped"),
    ("spool_dropped", "dropped from disk"),
    ("lost", "lost with a router"),
)


@click.command(epilog=examples("passenger telemetry status", "passenger telemetry status --format json"))
@instance_option
@registry_option
@format_option("text", "json")
def status(*, instance: str | None, registry: str | None, form: str) -> int:
    """Show what was told, and what became of it in each sink."""
    record = chosen_instance(instance, registry)
    _show(record, _ask(record, {"verb": "telemetry"}, GRACE), form)
    return EXIT_OK


@click.command(epilog=examples("passenger telemetry flush", "passenger telemetry flush --timeout 30"))
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=60),
    default=10.0,
    show_default=True,
    help="Seconds to wait at most; what is left is tried again later.",
)
@instance_option
@registry_option
@format_option("text", "json")
def flush(*, timeout: float, instance: str | None, registry: str | None, form: str) -> int:
    """Have everything delivered now, also what waits for its next try. Status 1 when something is left."""
    record = chosen_instance(instance, registry)
    told = _ask(record, {"verb": "telemetry_flush", "seconds": timeout}, timeout + GRACE)
    _show(record, told, form)
    is_left = any(sink["waiting"] or sink["on_disk"] for sink in told["sinks"].values())
    return EXIT_FAILED if is_left else EXIT_OK


def _ask(record: InstanceRecord, question: dict[str, Any], timeout: float) -> dict[str, Any]:
    what = f"the core of instance {record.name}"
    found: dict[str, Any] = api.call(record.paths.core_api, question, timeout=timeout, what=what)["telemetry"]
    return found


def _show(record: InstanceRecord, told: dict[str, Any], form: str) -> None:
    if form == "json":
        print(json.dumps({"instance": record.name, **told}))
        return
    if not told["enabled"]:
        print(f"instance {record.name} has no telemetry sink")
        return
    router = f"UstRouter {told['router']}" if told["router"] else "no UstRouter yet"
    print(f"{router}: {told['told']} records told, {told['waiting']} wait for it, {told['overflow']} dropped before it")
    for name, sink in told["sinks"].items():
        counts = ", ".join(f"{sink[key]} {word}" for key, word in _SHOWN if sink[key] or key == "sent")
        print(f"  {name}: {counts}")
        if sink["error"]:
            print(f"    {printable(sink['error'])}; next try in {sink['retry_in']:g} s")
