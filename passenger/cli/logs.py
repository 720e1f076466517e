"""`passenger logs`: what an instance said lately, and what it says from now on.

Where it comes from:
1. The file of `passenger start --log-file` (or `--daemonize`), which holds everything, when the instance has one.
2. Else the core's memory: the last 256 KiB that the core and the applications said. What watchdog and nginx say goes to
   the instance's stdout only, to whoever collects it there (journald, a container engine).
"""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from passenger.cli import api
from passenger.cli.loglines import Choice, since_when
from passenger.cli.logsources import CoreMemory, LogFile, Source
from passenger.cli.options import examples, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK
from passenger.instance.registry import InstanceRecord
from passenger.log import LEVELS, printable

PAUSE: Final = 0.3
"""Seconds between looks of `--follow`."""
TIMEOUT: Final = 10.0


@click.command(
    epilog=examples("passenger logs", "passenger logs --app blog --follow", "passenger logs --level warn --since 10m")
)
@instance_option
@registry_option
@click.option("--app", metavar="NAME", help="Only what this application wrote, and what is said about it.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until interrupted or the instance ends.")
@click.option("--level", type=click.Choice(tuple(LEVELS)), help="Only lines that are at least as important.")
@click.option("--since", metavar="TIME", help="Only lines of the last `10m` (s, m, h, d), or from a time in UTC on.")
@click.option("--lines", "-n", type=click.IntRange(min=0), help="At most this many lines, the last ones.")
def logs(
    *,
    instance: str | None,
    registry: str | None,
    app: str | None,
    follow: bool,
    level: str | None,
    since: str | None,
    lines: int | None,
) -> int:
    """Show the log of an instance: its log file if it has one, else the last that core and applications said."""
    try:
        choice = Choice(app=app, level=level, since="" if since is None else since_when(since, now=time.time()))
    except ValueError as error:
        problem = f"{since!r} is neither a duration such as 10m nor a time in UTC such as 2031-05-01T12:00"
        raise click.BadParameter(problem, param_hint="--since") from error
    record = chosen_instance(instance, registry)
    source = source_of(record)
    wanted = [line for line in source.read() if choice.wants(line)]
    if app is not None and not wanted and app not in record.urls:
        known = ", ".join(sorted(record.urls)) or "none"
        click.echo(f"note: there is no application {printable(app)!r} in instance {record.name}: {known}", err=True)
    _show(wanted if lines is None else wanted[len(wanted) - min(lines, len(wanted)) :])
    while follow and source.is_alive():
        time.sleep(PAUSE)
        _show([line for line in source.read() if choice.wants(line)])
    return EXIT_OK


def source_of(record: InstanceRecord) -> Source:
    """Where the lines of an instance are. Raises as `api.call` does, and HostError for a file that cannot be read."""
    what = f"the watchdog of instance {record.name}"
    file = api.call(record.paths.watchdog_api, {"verb": "status"}, timeout=TIMEOUT, what=what).get("log_file")
    return LogFile(str(file), record) if file else CoreMemory(record)


def _show(lines: list[str]) -> None:
    """Control characters cannot be in lines of ours, but in those that nginx wrote into the same file."""
    for line in lines:
        sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()
