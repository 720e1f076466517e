"""What `passenger top` shows and what a key does to it: a pure state machine.

Rules.
1. What changes something is asked about first; only `y` means yes.
2. The selection follows its application or process when others come and go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from passenger.lazy_dataclass import dataclass
from passenger.wire.status import CoreStatus, GroupStatus

UP: Final = frozenset({"k", "\x1b[A", "\x1bOA"})
DOWN: Final = frozenset({"j", "\x1b[B", "\x1bOB"})
QUIT: Final = frozenset({"q", "Q", "\x03", "\x04"})


@dataclass(frozen=True, slots=True)
class Row:
    """A line that can be selected: an application, or one process of it."""

    app: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What has been decided: `restart` an application, `detach` a process, `quit`."""

    what: Literal["restart", "detach", "quit"]
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened per second between two pictures; None before the second one."""

    requests: float | None
    cpu: float | None
    """Percent of one CPU."""


@dataclass(frozen=True, slots=True)
class State:
    """What the keys have done so far."""

    selected: Row | None = None
    question: Act | None = None
    message: str = ""

    def key(self, key: str, rows: list[Row]) -> tuple[State, Act | None]:
        """The state after a key, and what is to be done now."""
        if self.question is not None:
            decided = self.question if key in {"y", "Y"} else None
            return replace(self, question=None, message="" if decided else "nothing was done"), decided
        if key in QUIT:
            return self, Act("quit")
        here = self.following(rows).selected
        if key in UP | DOWN and here is not None:
            step = rows.index(here) + (1 if key in DOWN else -1)
            return State(rows[min(max(step, 0), len(rows) - 1)]), None
        if key == "r" and here is not None:
            return State(here, Act("restart", Row(here.app))), None
        if key == "d" and here is not None and here.pid is not None:
            return State(here, Act("detach", here)), None
        if key == "d":
            return State(here, message="select a process to detach it"), None
        return self, None

    def following(self, rows: list[Row]) -> State:
        """With a selection that exists."""
        if self.selected in rows:
            return self
        same = next((row for row in rows if self.selected is not None and row.app == self.selected.app), None)
        return replace(self, selected=same or (rows[0] if rows else None))


def rows_of(core: CoreStatus) -> list[Row]:
    """Every line that can be selected, from top to bottom."""
    found = []
    for group in core["pool"]["groups"]:
        found.append(Row(group["name"]))
        found += [Row(group["name"], process["pid"]) for process in group["processes"]]
    return found


def rates(before: CoreStatus | None, after: CoreStatus, seconds: float) -> dict[Row, Rates]:
    """Per application and process. A counter that went back belongs to a new core, or to another process."""
    earlier = {} if before is None else {group["name"]: group for group in before["pool"]["groups"]}
    found = {}
    for group in after["pool"]["groups"]:
        old = earlier.get(group["name"])
        old_processes = {} if old is None else {process["pid"]: process for process in old["processes"]}
        for process in group["processes"]:
            was = old_processes.get(process["pid"])
            found[Row(group["name"], process["pid"])] = Rates(
                requests=None if was is None else _rate(was["processed"], process["processed"], seconds),
                cpu=None if was is None else _rate(was["cpu_seconds"], process["cpu_seconds"], seconds, 100.0),
            )
        cpus = [rate.cpu for row, rate in found.items() if row.app == group["name"] and rate.cpu is not None]
        found[Row(group["name"])] = Rates(
            requests=None if old is None else _rate(_requests(old), _requests(group), seconds),
            cpu=sum(cpus) if cpus else None,
        )
    return found


def _requests(group: GroupStatus) -> int:
    return group["counters"]["requests"]


def _rate(before: float | None, after: float | None, seconds: float, factor: float = 1.0) -> float | None:
    if before is None or after is None or after < before or seconds <= 0:
        return None
    return factor * (after - before) / seconds
