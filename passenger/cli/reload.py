"""`passenger reload`: the watchdog has the configuration resolved again, checks it, and applies it or nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from passenger.cli import api
from passenger.cli.config_diff import tell_differences
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.restart_app import GRACE, has_worked, result
from passenger.cli.running import chosen_instance, running_instances
from passenger.errors import EXIT_FAILED, EXIT_OK, InstanceSelectionError, PassengerError
from passenger.instance.registry import InstanceRecord
from passenger.log import printable


@click.command(
    epilog=examples(
        "passenger reload",
        "passenger reload --dry-run",
        "passenger reload --wait --format json",
        "passenger reload --all",
    )
)
@instance_option
@click.option("--all", "is_all", is_flag=True, help="Every running instance; the worst exit status counts.")
@registry_option
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would change, as `passenger config diff` does.")
@click.option(
    "--wait/--no-wait",
    default=False,
    show_default=True,
    help="Wait until the processes of changed applications are replaced; status 1 if that failed.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=86400),
    default=300.0,
    show_default=True,
    help="Seconds to wait for the answer, and with --wait for the end.",
)
@format_option("text", "json")
def reload(
    *, instance: str | None, registry: str | None, is_all: bool, is_dry: bool, wait: bool, timeout: float, form: str
) -> int:
    """Read the configuration again and apply it without losing a request; an invalid one changes nothing."""
    if is_all and instance is not None:
        raise click.UsageError("give either --instance or --all, not both")
    if not is_all:
        return reload_one(chosen_instance(instance, registry), is_dry=is_dry, wait=wait, timeout=timeout, form=form)
    records = running_instances(registry)
    if not records:
        raise InstanceSelectionError("no instance is running", hint="start one with `passenger start`")
    worst = EXIT_OK
    for record in records:
        try:
            status = reload_one(record, is_dry=is_dry, wait=wait, timeout=timeout, form=form)
        except PassengerError as error:  # the others are reloaded all the same
            if len(records) == 1:
                raise
            print(f"error: instance {record.name}: {error}", file=sys.stderr)
            status = error.exit_status
        worst = max(worst, status)
    return worst


def reload_one(record: InstanceRecord, *, is_dry: bool, wait: bool, timeout: float, form: str) -> int:
    """Reload one instance and say what that did. Raises PassengerError."""
    if is_dry:
        return tell_differences(record, None, form=form, by_status=False)
    what = f"the watchdog of instance {record.name}"
    answer = api.call(record.paths.watchdog_api, {"verb": "reload"}, timeout=timeout, what=what)
    report = answer.get("report") or {}
    rolling = (report.get("core") or {}).get("rolling") or []
    if form == "text":
        print("\n".join((f"instance {record.name} reloaded", *report_lines(report))), flush=True)
    ended = restarted(record, rolling, timeout) if wait and rolling else {}
    if form == "json":
        print(json.dumps({"instance": record.name, "report": report} | ({"apps": ended} if wait else {})))
    for name, restart in ended.items() if form == "text" else ():
        print(printable(f"  {result(name, restart)}"))
    return EXIT_OK if all(has_worked(restart) for restart in ended.values()) else EXIT_FAILED


def restarted(record: InstanceRecord, apps: list[str], timeout: float) -> dict[str, Any]:
    """Wait for restarts that are under way: application -> RestartStatus."""
    question = {"verb": "restarted", "apps": apps, "wait": timeout}
    what = f"the core of instance {record.name}"
    found: dict[str, Any] = api.call(record.paths.core_api, question, timeout=timeout + GRACE, what=what)["apps"]
    return found


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
