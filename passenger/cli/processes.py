"""The processes of running instances as /proc shows them: who they are, whose children, what memory they take.

Rules.
1. Nobody is asked and nothing is signalled: this works beside a core that hangs, and for whoever may list the registry.
2. A process that ends while we look is left out; a figure that may not be read is None.
3. Where a process stands in the tree below its watchdog says what it is, not what it calls itself; only what the
   watchdog itself started (core, nginx, `cat`) is told apart by its program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from passenger.lazy_dataclass import dataclass

if TYPE_CHECKING:
    import psutil

Kind = Literal["nginx", "passenger", "app"]
CORE: Final = "passenger.core"
RESOLVER: Final = "resolve-plan"
NAME_WIDTH: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One process. Sizes are bytes, None = may not be read."""

    pid: int
    ppid: int
    kind: Kind
    name: str
    vmsize: int
    rss: int
    private: int | None
    pss: int | None


def seen_processes(watchdogs: Iterable[int]) -> list[Seen]:
    """Everything that runs below these watchdogs, and they themselves, by pid within each kind."""
    found = {}
    for watchdog in watchdogs:
        for process, kind in _below(watchdog):
            if (seen := _look(process, kind)) is not None:
                found[seen.pid] = seen
    return sorted(found.values(), key=lambda seen: (seen.kind, seen.pid))


def _below(watchdog: int) -> list[tuple[psutil.Process, Kind]]:
    import psutil

    try:
        top = psutil.Process(watchdog)
        parents = {process: process.ppid() for process in _alive(top.children(recursive=True))}
    except psutil.Error:
        return []
    kinds: dict[int, Kind] = {watchdog: "passenger"}
    branches = {process: parents[process] == watchdog for process in parents}
    for process, is_branch in branches.items():
        if is_branch:
            kinds[process.pid] = _branch(process)
    listed: list[tuple[psutil.Process, Kind]] = [(top, "passenger")]
    by_pid = {process.pid: parent for process, parent in parents.items()}
    listed += [(process, _kind(process.pid, by_pid, kinds, watchdog)) for process in parents]
    return listed


def _alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    import psutil

    alive = []
    for process in processes:
        try:
            process.ppid()
        except psutil.Error:
            continue
        alive.append(process)
    return alive


def _branch(process: psutil.Process) -> Kind:
    """What the watchdog started; an orphan of an application that it adopted is an application's."""
    import psutil

    try:
        name, command = process.name(), process.cmdline()
    except psutil.Error:
        return "app"
    if name == "nginx":
        return "nginx"
    return "passenger" if CORE in command or RESOLVER in command or name == "cat" else "app"


def _kind(pid: int, parents: Mapping[int, int], kinds: Mapping[int, Kind], watchdog: int) -> Kind:
    """What is below nginx is nginx; what is below the core is an application."""
    here = pid
    while parents.get(here, watchdog) != watchdog:
        here = parents[here]
    kind = kinds.get(here, "app")
    return "app" if kind == "passenger" and here != pid else kind


def _look(process: psutil.Process, kind: Kind) -> Seen | None:
    import psutil

    try:
        with process.oneshot():
            memory = process.memory_info()
            name = " ".join(process.cmdline()) or process.name()
            ppid = process.ppid()
            try:
                full = process.memory_full_info()
                figures: tuple[int, int] | tuple[None, None] = full.uss, full.pss
            except psutil.AccessDenied:
                figures = None, None
    except psutil.Error:
        return None
    return Seen(
        pid=process.pid,
        ppid=ppid,
        kind=kind,
        name=name[:NAME_WIDTH],
        vmsize=memory.vms,
        rss=memory.rss,
        private=figures[0],
        pss=figures[1],
    )
