"""The screen of `passenger top`: a picture of the instance as something that rich draws. Pure.

Only as many lines as the terminal has: the selected one is always among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from passenger.cli.attention import app_progress, app_words, process_word
from passenger.cli.poolview import MIB, duration
from passenger.cli.snapshot import Snapshot
from passenger.cli.topstate import Rates, Row, State
from passenger.log import printable
from passenger.wire.status import CoreStatus, GroupStatus, ProcessStatus

KEYS: Final = "up/down select   r restart the application   d detach the process   q quit"
AROUND: Final = 7
"""Lines of the screen that are no rows."""


Line = tuple[Row, tuple[str, ...]]


def screen(snapshot: Snapshot, rates: Mapping[Row, Rates], state: State, *, height: int) -> RenderableType:
    """Head, table, and the line of keys or the question."""
    core = snapshot.core
    if core is None:
        return Group(_head(snapshot), Text(f"The core does not answer: {snapshot.trouble}", style="red"), _foot(state))
    return Group(_head(snapshot), _table(core, rates, state, max(3, height - AROUND)), _foot(state))


def _head(snapshot: Snapshot) -> Text:
    core = snapshot.core
    parts = [f"Instance {snapshot.instance}: {snapshot.watchdog.get('state', '?')}"]
    if core is not None:
        pool, requests = core["pool"], core["requests"]
        parts += [
            f"up {duration(core['uptime'])}",
            f"{pool['processes']} of {pool['max_pool_size']} processes",
            f"{requests['active']} requests active, {pool['queue']} queued",
            f"{requests['handled']} handled",
            *(["DRAINED"] if core["drained_at"] is not None else []),
        ]
    return Text(printable("   ".join(parts)), style="bold", no_wrap=True, overflow="ellipsis")


def _table(core: CoreStatus, rates: Mapping[Row, Rates], state: State, room: int) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="reverse")
    table.add_column("Application / PID", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("CPU %", "Memory", "Sessions", "Queue", "Req/s", "Processed", "Uptime", "State"):
        table.add_column(name, justify="right" if name != "State" else "left", no_wrap=True)
    lines = [
        line for group in core["pool"]["groups"] for line in ((Row(group["name"]), _app(group)), *_processes(group))
    ]
    for row, cells in _visible(lines, state.selected, room):
        rate = rates.get(row, Rates(None, None))
        name, memory, sessions, queue, processed, uptime, word = cells
        style = "reverse" if row == state.selected else "bold" if row.pid is None else ""
        table.add_row(
            name, _one(rate.cpu), memory, sessions, queue, _one(rate.requests), processed, uptime, word, style=style
        )
    return table


def _visible(lines: Sequence[Line], selected: Row | None, room: int) -> Sequence[Line]:
    at = next((number for number, (row, _) in enumerate(lines) if row == selected), 0)
    first = max(0, min(at - room // 2, len(lines) - room))
    return lines[first : first + room]


def _app(group: GroupStatus) -> tuple[str, ...]:
    word = ", ".join((*app_words(group), *app_progress(group)))
    sizes = [size for process in group["processes"] if (size := _memory(process)) is not None]
    return (
        printable(group["name"]),
        _size(sum(sizes) if sizes else None),
        str(sum(process["sessions"] for process in group["processes"])),
        str(group["queue"]),
        str(group["counters"]["requests"]),
        "",
        word,
    )


def _processes(group: GroupStatus) -> list[Line]:
    return [
        (
            Row(group["name"], process["pid"]),
            (
                f"  {process['pid']}",
                _size(_memory(process)),
                str(process["sessions"]),
                "",
                str(process["processed"]),
                duration(process["uptime"]),
                process_word(process),
            ),
        )
        for process in group["processes"]
    ]


def _foot(state: State) -> Text:
    if (asked := state.question) is not None and asked.row is not None:
        what = f"restart {asked.row.app}" if asked.what == "restart" else f"detach process {asked.row.pid}"
        return Text(f"\n{printable(what)}? y/n", style="bold yellow")
    return Text(f"\n{printable(state.message)}" if state.message else f"\n{KEYS}", style="dim")


def _memory(process: ProcessStatus) -> int | None:
    return process["pss"] if process["pss"] is not None else process["rss"]


def _size(size: int | None) -> str:
    return "?" if size is None else f"{size / MIB:.0f}M"


def _one(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
