"""The `passenger-status` program, with the layout and the exit statuses of Passenger's own.

0 shown; 1 no such instance, none, or several and none named; 2 the instance could not be asked.
"""

from __future__ import annotations

import json
import os
import sys
import time

import click

from passenger import __version__
from passenger.cli.colour import wants_colour
from passenger.cli.options import examples
from passenger.cli.poolview import emphasised, plain, pool_lines, stamp
from passenger.cli.running import running_instances
from passenger.cli.snapshot import core_status
from passenger.errors import EXIT_FAILED, EXIT_OK, PassengerError
from passenger.instance.registry import InstanceRecord
from passenger.wire.status import CoreStatus

EXIT_NOT_ASKED = 2


@click.command(epilog=examples("passenger-status", "passenger-status main --show=json"))
@click.argument("name", required=False)
@click.option("--show", type=click.Choice(("pool", "json")), default="pool", show_default=True, help="What to show.")
@click.option("--no-header", is_flag=True, help="Leave out version, date and instance.")
@click.option("--force-colors", is_flag=True, help="Colour also when the output is no terminal.")
@click.option("--verbose", "-v", is_flag=True, help="Counters of every application, identity of every process.")
def passenger_status(*, name: str | None, show: str, no_header: bool, force_colors: bool, verbose: bool) -> int:
    """Show the pool of the instance NAME (or the beginning of its name); without NAME, of the only one."""
    record = _pick(running_instances(None), name)
    if record is None:
        return EXIT_FAILED
    try:
        core = core_status(record)
    except PassengerError as error:
        print(f"*** ERROR: {error.message}" + (f"\n{error.hint}" if error.hint else ""), file=sys.stderr)
        return EXIT_NOT_ASKED
    if show == "json":
        print(json.dumps({group["name"]: group for group in core["pool"]["groups"]}, indent=2))
        return EXIT_OK
    _print_pool(
        record, core, no_header=no_header, colours=force_colors or wants_colour(sys.stdout, os.environ), verbose=verbose
    )
    return EXIT_OK


def _print_pool(record: InstanceRecord, core: CoreStatus, *, no_header: bool, colours: bool, verbose: bool) -> None:
    now = time.time()
    if not no_header:
        print(
            f"Version : {core['version']}\nDate    : {stamp(now)}\nInstance: {record.name} (Passenger {__version__})\n"
        )
    print("\n".join(pool_lines(core, now=now, heading=emphasised if colours else plain, verbose=verbose)))


def _pick(records: list[InstanceRecord], name: str | None) -> InstanceRecord | None:
    """The instance meant, or None after saying on stderr why there is none. A full name wins over a beginning."""
    found = records
    if name is not None:
        found = [r for r in records if r.name == name] or [r for r in records if r.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    if not records:
        print("ERROR: Phusion Passenger doesn't seem to be running.", file=sys.stderr)
    elif not found:
        print(f"ERROR: there doesn't seem to be a running Passenger instance {name!r}.", file=sys.stderr)
    else:
        print("It appears that multiple Passenger instances are running. Please select a", file=sys.stderr)
        print("specific one by running:\n\n  passenger-status <NAME>\n", file=sys.stderr)
        print(f"{'Name':<24} {'PID':<8} Configuration", file=sys.stderr)
        for record in found:
            print(f"{record.name:<24} {record.watchdog_pid:<8} {', '.join(record.config_files)}", file=sys.stderr)
    return None
