"""Processes that have served enough requests or reached their age: when, and what is noted then.

What follows is `rolling`'s and `demand`'s part: another process is started beside the limits, and when it is ready
the worn one is withdrawn.

Rules.
1. Until then a worn process goes on serving: no limit costs an application capacity, and one is exceeded by what is
   served meanwhile. If no other process can be started it goes on, and that is tried again after the back-off.
2. Each process has its own share of the jitter for its whole life: what started together need not go together.
   Jitter only shortens a life, so that a limit says the most.
"""

from __future__ import annotations

import math

from passenger.config import amounts
from passenger.config.model import App
from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, ProcessState


def requests_of(app: App, luck: float) -> float:
    """After how many requests a process is worn; infinite = never. `luck` is in [0, 1)."""
    if not app.max_requests:
        return math.inf
    return max(1, app.max_requests - int(luck * amounts.share(app.max_requests_jitter) * app.max_requests))


def age_of(app: App, luck: float) -> float:
    """Seconds after which a process is worn; infinite = never."""
    if not app.max_worker_age:
        return math.inf
    return app.max_worker_age * (1 - luck * amounts.share(app.max_worker_age_jitter))


def set_limits(group: Group, process: Process) -> None:
    """Work out when a process will be worn: at its start, and when the limits have changed."""
    if process not in group.outlived:
        process.retire_at = requests_of(group.app, process.luck)
        process.expires_at = process.started_at + age_of(group.app, process.luck)


def note_requests(ledger: Ledger, process: Process) -> None:
    """The process has served one more."""
    if process.processed >= process.retire_at and process.takes_requests():
        ledger.outlive(process, by_requests(process))


def by_requests(process: Process) -> str:
    return f"max_requests: served {process.processed}"


def expire(ledger: Ledger, now: float) -> list[Process]:
    """Note every process that has reached its age, and tell which."""
    expired = [
        process
        for group in ledger.aging
        for process in group.processes
        if now >= process.expires_at and process.state is ProcessState.ENABLED
    ]
    for process in expired:
        ledger.outlive(process, f"max_worker_age: {now - process.started_at:.0f} s old")
    return expired
