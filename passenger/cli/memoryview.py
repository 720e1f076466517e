"""The tables of `passenger-memory-stats`, in Passenger's layout. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from passenger.cli.poolview import MIB, Paint, plain
from passenger.cli.processes import Kind, Seen
from passenger.log import printable

TITLES: Final[Mapping[Kind, str]] = {
    "nginx": "Nginx processes",
    "passenger": "Passenger processes",
    "app": "Application processes",
}
HEAD: Final = f"{'PID':<8} {'PPID':<8} {'VMSize':>9}  {'Private':>9}  {'PSS':>9}  Name"


def memory_lines(
    processes: Sequence[Seen], apps: Mapping[int, str], *, width: int, heading: Paint = plain
) -> Iterator[str]:
    """Three tables and their totals. `apps` says which application a process belongs to, where that is known."""
    for kind, title in TITLES.items():
        yield heading(f"---------- {title} ----------")
        yield from _table([seen for seen in processes if seen.kind == kind], apps, width)
        yield ""
    total = totals(processes)
    memory = f"{_size(total['private'])}, PSS: {_size(total['pss'])}"
    yield f"### Total private memory of {total['processes']} processes: {memory}"


def totals(processes: Iterable[Seen]) -> dict[str, Any]:
    """Sums; None when no figure of a kind could be read."""
    listed = list(processes)
    return {
        "processes": len(listed),
        "vmsize": sum(seen.vmsize for seen in listed),
        "rss": sum(seen.rss for seen in listed),
        "private": _sum(seen.private for seen in listed),
        "pss": _sum(seen.pss for seen in listed),
        "unread": sum(seen.pss is None for seen in listed),
    }


def _table(processes: Sequence[Seen], apps: Mapping[int, str], width: int) -> Iterator[str]:
    yield HEAD
    for seen in processes:
        name = f"{apps[seen.pid]}: {seen.name}" if seen.pid in apps else seen.name
        numbers = (
            f"{seen.pid:<8} {seen.ppid:<8} {_size(seen.vmsize):>9}  {_size(seen.private):>9}  {_size(seen.pss):>9}  "
        )
        yield numbers + printable(name).rstrip()[: max(20, width - len(numbers))]
    total = totals(processes)
    yield f"### Processes: {len(processes)}"
    yield f"### Total private memory: {_size(total['private'])}, PSS: {_size(total['pss'])}"


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _size(size: int | None) -> str:
    return "?" if size is None else f"{size / MIB:.1f} MB"
