"""The `passenger-status` program, with the layout and the exit statuses of Passenger's own.

0 shown; 1 no such instance, none, or several and none named; 2 the instance could not be asked.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import click

from passenger import __version__
from passenger.cli import api
from passenger.cli.colour import wants_colour
from passenger.cli.options import examples
from passenger.cli.poolview import Paint, emphasised, plain, pool_lines, stamp
from passenger.cli.running import running_instances
from passenger.cli.snapshot import TIMEOUT, core_status
from passenger.errors import EXIT_FAILED, EXIT_OK, PassengerError
from passenger.instance.registry import InstanceRecord
from passenger.lazy_dataclass import dataclass
from passenger.log import printable

EXIT_NOT_ASKED = 2


@dataclass(frozen=True, slots=True)
class View:
    """How to show it."""

    paint: Paint
    verbose: bool


def _pool(record: InstanceRecord, view: View) -> str:
    return "\n".join(pool_lines(core_status(record), now=time.time(), heading=view.paint, verbose=view.verbose))


def _server(record: InstanceRecord, _: View) -> str:
    return json.dumps(_ask(record, "server"), indent=2)


def _backtraces(record: InstanceRecord, _: View) -> str:
    return "\n".join(map(printable, str(_ask(record, "backtraces")).split("\n"))).rstrip("\n")


def _xml(record: InstanceRecord, _: View) -> str:
    from passenger.cli.poolxml import pool_xml

    return pool_xml(core_status(record), now=time.time())


def _json(record: InstanceRecord, _: View) -> str:
    return json.dumps({group["name"]: group for group in core_status(record)["pool"]["groups"]}, indent=2)


def _ask(record: InstanceRecord, verb: str) -> Any:
    what = f"the core of instance {record.name}"
    return api.call(record.paths.core_api, {"verb": verb}, timeout=TIMEOUT, what=what).get(verb)


VIEWS: Final[Mapping[str, Callable[[InstanceRecord, View], str]]] = MappingProxyType({
    "pool": _pool, "server": _server, "requests": _server, "backtraces": _backtraces, "xml": _xml, "json": _json,
})  # fmt: skip
WITHOUT_HEADER: Final = frozenset({"xml", "json", "server", "requests"})
"""For programs; Passenger shows its JSON of `server` with a header that nothing can parse."""


@click.command(
    epilog=examples("passenger-status", "passenger-status main --show=json", "passenger-status --show=server")
)
@click.argument("name", required=False)
@click.option("--show", type=click.Choice(tuple(VIEWS)), default="pool", show_default=True, help="What to show.")
@click.option("--no-header", is_flag=True, help="Leave out version, date and instance.")
@click.option("--force-colors", is_flag=True, help="Colour also when the output is no terminal.")
@click.option("--verbose", "-v", is_flag=True, help="Counters of every application, identity of every process.")
def passenger_status(*, name: str | None, show: str, no_header: bool, force_colors: bool, verbose: bool) -> int:
    """Show the instance NAME (or the beginning of its name); without NAME, the only one.

    pool: applications and their processes; xml, json: the same for programs. server (or requests): what the request
    handler does, and for whom. backtraces: where the threads and tasks of the core are.
    """
    record = _pick(running_instances(None), name)
    if record is None:
        return EXIT_FAILED
    paint = emphasised if force_colors or wants_colour(sys.stdout, os.environ) else plain
    try:
        text = VIEWS[show](record, View(paint=paint, verbose=verbose))
    except PassengerError as error:
        print(f"*** ERROR: {error.message}" + (f"\n{error.hint}" if error.hint else ""), file=sys.stderr)
        return EXIT_NOT_ASKED
    if not no_header and show not in WITHOUT_HEADER:
        print(
            f"Version : {record.version}\nDate    : {stamp(time.time())}\n"
            f"Instance: {record.name} (Passenger {__version__})\n"
        )
    print(text)
    return EXIT_OK


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
