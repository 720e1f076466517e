"""`passenger restart-app`: new processes for applications, without losing a request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.cli.snapshot import core_status
from passenger.errors import EXIT_FAILED, EXIT_OK, PassengerError
from passenger.instance.registry import InstanceRecord
from passenger.log import printable

GRACE = 10.0
"""Seconds for the answer itself."""


@click.command(
    epilog=examples(
        "passenger restart-app blog",
        "passenger restart-app .",
        "passenger restart-app --all --method blocking --no-wait",
    )
)
@click.argument("apps", nargs=-1, metavar="[NAME|PATH]...")
@click.option("--all", "every", is_flag=True, help="Every application of the instance.")
@click.option(
    "--method",
    type=click.Choice(("rolling", "blocking")),
    help="Replace one by one, or all at once.  [default: `restart_method` of the application]",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for the end; status 1 if it failed.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=86400),
    default=300.0,
    show_default=True,
    help="Seconds to wait. The restart goes on when they are over.",
)
@instance_option
@registry_option
@format_option("text", "json")
def restart_app(
    *,
    apps: tuple[str, ...],
    every: bool,
    method: str | None,
    wait: bool,
    timeout: float,
    instance: str | None,
    registry: str | None,
    form: str,
) -> int:
    """Replace the processes of applications by new ones, and say how that went.

    An application is named as in the configuration, or by its folder: a PATH means every application in it, or the one
    that it belongs to. Nothing needs to be named if there is only one; on a terminal you are asked.
    """
    record = chosen_instance(instance, registry)
    question: dict[str, Any] = {"verb": "restart", "method": method or "", "wait": timeout if wait else 0}
    question |= meant(record, apps, every=every)
    what = f"the core of instance {record.name}"
    answer = api.call(record.paths.core_api, question, timeout=question["wait"] + GRACE, what=what)
    return report(answer["apps"], record.name, form=form, is_waiting=wait)


def meant(record: InstanceRecord, apps: Iterable[str], *, every: bool) -> dict[str, Any]:
    """The part of a question that says which applications: those named, all, or the only one."""
    if every:
        if tuple(apps):
            raise click.UsageError("--all and names exclude each other")
        return {"all": True}
    roots = {group["name"]: group["app_root"] for group in core_status(record)["pool"]["groups"]}
    return {"apps": list(named(apps, roots, Path.cwd()) or (_only(roots),))}


def named(wanted: Iterable[str], roots: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """The applications that names and paths mean, each once. Raises PassengerError for one that means none."""
    found: dict[str, None] = {}
    for word in wanted:
        meant = [word] if word in roots else list(_at(os.path.realpath(folder / word), roots))
        if not meant:
            listed = ", ".join(f"{name} ({root})" for name, root in roots.items()) or "none"
            raise PassengerError(f"no application is called {word!r} or lies there", hint=f"applications: {listed}")
        found |= dict.fromkeys(meant)
    return tuple(found)


def _at(path: str, roots: Mapping[str, str]) -> Iterator[str]:
    """Applications in a folder; if there are none, the one that the folder is part of."""
    real = {name: os.path.realpath(root) for name, root in roots.items()}
    inside = [name for name, root in real.items() if Path(root).is_relative_to(path)]
    around = [name for name, root in real.items() if Path(path).is_relative_to(root)]
    if inside or not around:
        yield from inside
    else:
        nearest = max(len(real[name]) for name in around)
        yield from (name for name in around if len(real[name]) == nearest)


def _only(roots: Mapping[str, str]) -> str:
    """The only application, or the one that is chosen on the terminal."""
    names = list(roots)
    if len(names) == 1:
        return names[0]
    listed = "\n".join(printable(f"  {number}  {name}  {roots[name]}") for number, name in enumerate(names, 1))
    if not names or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(f"which application? Name it, or use --all.\n{listed or '  there is none'}")
    print(f"Applications:\n{listed}")
    return names[click.prompt("Which one", type=click.IntRange(1, len(names))) - 1]


def report(apps: Mapping[str, Any], instance: str, *, form: str, is_waiting: bool) -> int:
    """Say how restarts went; the exit status."""
    if form == "json":
        print(json.dumps({"instance": instance, "apps": apps}, indent=2))
    else:
        for name, restart in apps.items():
            print(printable(result(name, restart)), flush=True)
    return EXIT_OK if not is_waiting or all(has_worked(restart) for restart in apps.values()) else EXIT_FAILED


def has_worked(restart: Mapping[str, Any] | None) -> bool:
    """Whether a restart came to its end, and well."""
    return restart is None or restart["state"] == "done"


def result(name: str, restart: Mapping[str, Any] | None) -> str:
    """One line about one application."""
    if restart is None:
        return f"{name}: nothing was to be restarted"
    of = f"{restart['done']} of {restart['total']} processes replaced"
    if restart["state"] == "running":
        return f"{name}: {restart['method']} restart is under way, {of}"
    if (error := restart["error"]) is None:
        return f"{name}: restarted in {restart['ended_at'] - restart['began_at']:.1f} s"
    kept = "old processes keep serving" if restart["method"] == "rolling" else "the next request tries again"
    return f"{name}: restart FAILED, {of}, {kept}: {error['summary']} (error id {error['id']})"
