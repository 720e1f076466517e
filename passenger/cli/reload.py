"""`passenger reload`: the watchdog has the configuration resolved again, checks it, and applies it or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK
from passenger.log import printable


@click.command(epilog=examples("passenger reload", "passenger reload --instance main --format json"))
@instance_option
@registry_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@format_option("text", "json")
def reload(*, instance: str | None, registry: str | None, timeout: float, form: str) -> int:
    """Read the configuration again and apply it without losing a request; an invalid one changes nothing."""
    record = chosen_instance(instance, registry)
    what = f"the watchdog of instance {record.name}"
    answer = api.call(record.paths.watchdog_api, {"verb": "reload"}, timeout=timeout, what=what)
    report = answer.get("report") or {}
    if form == "json":
        print(json.dumps({"instance": record.name, "report": report}))
    else:
        print("\n".join((f"instance {record.name} reloaded", *report_lines(report))))
    return EXIT_OK


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """What a reload did, one line per kind of change; kinds without any are left out."""
    lines = []
    for kind, what in report.items():
        if isinstance(what, Mapping):
            lines += report_lines(what)
        elif what:
            listed = ", ".join(map(str, what)) if isinstance(what, list) else str(what)
            lines.append(printable(f"  {kind.replace('_', ' ')}: {listed}"))
    return lines
