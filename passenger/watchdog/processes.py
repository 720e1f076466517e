"""What /proc says about processes, and orphans: descendants that became our children because their parent died.

Rules.
1. A process is named by (pid, start time); it is signalled through a pidfd that was checked against both.
2. Only our own children and their descendants are ever looked at.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import NamedTuple


class ProcessFacts(NamedTuple):
    pid: int
    parent: int
    group: int
    session: int
    started: int
    """Clock ticks since boot."""


def all_processes(proc: str = "/proc") -> dict[int, ProcessFacts]:
    """Every process that /proc shows, by pid."""
    found = (read_process(int(name), proc) for name in os.listdir(proc) if name.isdigit())
    return {facts.pid: facts for facts in found if facts is not None}


def read_process(pid: int, proc: str = "/proc") -> ProcessFacts | None:
    """None when it is gone."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as stream:
            columns = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return ProcessFacts(pid, int(columns[1]), int(columns[2]), int(columns[3]), int(columns[19]))


def own_children(proc: str = "/proc") -> list[ProcessFacts]:
    """Our children, zombies too. The kernel's own list is used where there is one: no walk over every process."""
    mine = os.getpid()
    try:
        with open(f"{proc}/{mine}/task/{mine}/children", "rb") as stream:
            found = (read_process(int(pid), proc) for pid in stream.read().split())
            return [facts for facts in found if facts is not None and facts.parent == mine]
    except OSError:
        return children_of(mine, all_processes(proc))


def children_of(parent: int, processes: dict[int, ProcessFacts]) -> list[ProcessFacts]:
    return [facts for facts in processes.values() if facts.parent == parent]


def with_descendants(roots: Iterable[ProcessFacts], processes: dict[int, ProcessFacts]) -> list[ProcessFacts]:
    """The given processes as far as they still exist, and everything below them."""
    below: dict[int, list[ProcessFacts]] = {}
    for facts in processes.values():
        below.setdefault(facts.parent, []).append(facts)
    found: dict[int, ProcessFacts] = {}
    waiting = [facts for facts in roots if is_same(facts, processes)]
    while waiting:
        facts = waiting.pop()
        if facts.pid not in found:
            found[facts.pid] = facts
            waiting += below.get(facts.pid, ())
    return list(found.values())


def is_same(facts: ProcessFacts, processes: dict[int, ProcessFacts]) -> bool:
    now = processes.get(facts.pid)
    return now is not None and now.started == facts.started


def send_signal(facts: ProcessFacts, number: int) -> bool:
    """Signal exactly this process. False when it is gone or not ours to signal."""
    try:
        fd = os.pidfd_open(facts.pid)
    except OSError:
        return False
    try:
        now = read_process(facts.pid)
        if now is None or now.started != facts.started:
            return False
        signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)
