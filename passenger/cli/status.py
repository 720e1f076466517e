"""`passenger status`: what runs, once or again and again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO

import click

from passenger.cli.colour import wants_colour
from passenger.cli.instanceview import status_lines
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.poolview import emphasised, plain, stamp
from passenger.cli.running import chosen_instance
from passenger.cli.snapshot import Snapshot, take
from passenger.errors import EXIT_FAILED, EXIT_OK

DEFAULT_INTERVAL = 2.0
CLEAR = "\x1b[H\x1b[2J\x1b[3J"


@click.command(
    epilog=examples("passenger status", "passenger status --instance main --format json", "passenger status --watch 5")
)
@instance_option
@registry_option
@format_option("text", "json")
@click.option(
    "--watch",
    type=click.FloatRange(min=0.1),
    is_flag=False,
    flag_value=DEFAULT_INTERVAL,
    metavar="[SECONDS]",
    help="Show it again every SECONDS (2 if left out) until interrupted; as JSON, one document per line.",
)
@click.option("--verbose", "-v", is_flag=True, help="Counters of every application, identity of every process.")
def status(*, instance: str | None, registry: str | None, form: str, watch: float | None, verbose: bool) -> int:
    """Show the components of an instance, its applications, their processes and queues."""
    record = chosen_instance(instance, registry)
    while True:
        snapshot = take(record)
        if form == "json":
            print(json.dumps(snapshot.as_json(), indent=2 if watch is None else None), flush=True)
        else:
            show(snapshot, live=watch is not None, verbose=verbose, out=sys.stdout, environ=os.environ)
        if watch is None:
            return EXIT_OK if snapshot.core is not None else EXIT_FAILED
        time.sleep(watch)


def show(snapshot: Snapshot, *, live: bool, verbose: bool, out: TextIO, environ: Mapping[str, str]) -> None:
    """Write one picture; on a terminal a live one replaces the one before."""
    now = time.time()
    heading = emphasised if wants_colour(out, environ) else plain
    lines = list(status_lines(snapshot, now=now, heading=heading, verbose=verbose))
    if live:
        lines.insert(0, stamp(now))
    text = "\n".join(lines).rstrip("\n") + "\n"
    if live:
        text = CLEAR + text if out.isatty() else text + "\n"
    out.write(text)
    out.flush()
