"""`passenger top`: the instance, live, on the whole screen."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

import click

from passenger.cli import api
from passenger.cli.options import examples, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.cli.snapshot import Snapshot, take
from passenger.cli.terminal_keys import Keys, keys_of
from passenger.cli.topstate import Act, Rates, Row, State, rates, rows_of
from passenger.errors import EXIT_OK, PassengerError
from passenger.instance.registry import InstanceRecord

INTERVAL: Final = 2.0
TIMEOUT: Final = 5.0


@click.command(epilog=examples("passenger top", "passenger top --instance main --interval 1"))
@instance_option
@registry_option
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2, max=3600),
    default=INTERVAL,
    show_default=True,
    help="Seconds between pictures.",
)
def top(*, instance: str | None, registry: str | None, interval: float) -> int:
    """Watch applications and processes: CPU, memory, sessions, queues, requests per second.

    Keys: up and down (or k, j) select, r restarts the application, d lets the process finish and end (both ask
    before), q ends. CPU and requests per second are those since the picture before.
    """
    record = chosen_instance(instance, registry)
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") in {"dumb", ""}:
        raise PassengerError(
            "this is no terminal that a live view could be drawn on",
            hint="use `passenger status --watch`, or `passenger status --format json` for programs",
        )
    first = take(record, timeout=TIMEOUT)
    with keys_of(sys.stdin.fileno()) as keys:
        _run(record, first, keys, interval)
    return EXIT_OK


def _run(record: InstanceRecord, snapshot: Snapshot, keys: Keys, interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from passenger.cli.topview import screen

    console = Console()
    state, seen = State(), time.monotonic()
    speeds: dict[Row, Rates] = {}
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            rows = [] if snapshot.core is None else rows_of(snapshot.core)
            state = state.following(rows)
            live.update(screen(snapshot, speeds, state, height=console.size.height), refresh=True)
            key = keys.wait(seen + interval - time.monotonic())
            if key is not None:
                state, act = state.key(key, rows)
                if act is not None and act.what == "quit":
                    return
                if act is not None:
                    state = State(state.selected, message=carry_out(record, act))
                continue
            before, before_at = snapshot.core, seen
            snapshot, seen = take(record, timeout=TIMEOUT), time.monotonic()
            speeds = {} if snapshot.core is None else rates(before, snapshot.core, seen - before_at)


def carry_out(record: InstanceRecord, act: Act) -> str:
    """Do it; what is to be said about it."""
    assert act.row is not None
    if act.what == "restart":
        question = {"verb": "restart", "apps": [act.row.app], "method": "", "wait": 0}
        done = f"{act.row.app} is being restarted"
    else:
        question = {"verb": "detach", "pid": act.row.pid, "wait": 0}
        done = f"process {act.row.pid} finishes its requests and ends"
    try:
        api.call(record.paths.core_api, question, timeout=TIMEOUT, what=f"the core of instance {record.name}")
    except PassengerError as error:
        return error.message
    return done
