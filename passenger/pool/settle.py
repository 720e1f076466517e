"""What follows every event: the same questions in the same order.

1. Waiting requests get free places, first come, first served.
2. Requests of a group that has no process and will not try to start one for now are refused at once (A17, B3).
   While another process lives, they go on waiting however often a start fails (B10).
3. A group that leaves and has served its queue stops everything it runs and starts.
4. Whoever holds more than the limits allow retires processes.
5. Whoever needs a process gets one, as far as limits allow (`demand`).
6. A restart that has nothing left to do is over.
7. A group that left and runs nothing any more is forgotten.
"""

from __future__ import annotations

import math
from typing import Final

from passenger.pool import demand
from passenger.pool.actions import (
    Action,
    AskToStop,
    CallOff,
    CloseGeneration,
    Grant,
    Refuse,
    RestartOver,
    Retire,
    Spawn,
)
from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, Retirement, Spawning
from passenger.pool.restart import is_over
from passenger.pool.session import Refusal, RefusalReason, Waiter

RETRY_SOON: Final = 5
"""Seconds for Retry-After when nothing is broken: about the time in which a burst is over or a process has started."""


def settle(ledger: Ledger, group: Group, now: float, actions: list[Action]) -> None:
    if group.is_gathering and group.aside:
        _gather(ledger, group, now)
    _grant(ledger, group, actions)
    if group.waiters and group.is_hopeless(now):
        refuse_all(ledger, group, RefusalReason.BACKING_OFF, now, actions)
    if group.leaving and not (group.waiters or group.pinned):
        _wind_up(ledger, group, now, actions)
    _trim(ledger, group, now, actions)
    _grant(ledger, group, actions)  # a process that was retired for a limit leaves those that waited for it
    demand.place(ledger, group, now)
    fill(ledger, now, actions)
    restart = group.restart
    if restart is not None and restart.is_running() and is_over(group, ledger.room()):
        restart.end(now)
        actions.append(RestartOver(group, restart))
    if group in ledger.leaving and group.is_finished():
        _close(ledger, group, actions)


def _grant(ledger: Ledger, group: Group, actions: list[Action]) -> None:
    while group.waiters and group.places.free:
        waiter = ledger.next_waiter(group)
        actions.append(Grant(waiter, group.places.take()))


def _gather(ledger: Ledger, group: Group, now: float) -> None:
    """The first processes serve when they are all there, or when no further one comes because the pool is full."""
    if group.is_gathered() or (ledger.room() <= 0 and not group.spawning):
        ledger.enable_all(group, now=now)


def _wind_up(ledger: Ledger, group: Group, now: float, actions: list[Action]) -> None:
    for spawning in list(group.spawning):
        call_off(ledger, spawning, actions)
    for process in list(group.processes):
        if process.stays():
            retire(ledger, process, "stopping" if ledger.is_stopping else "removed", now, actions)


def _trim(ledger: Ledger, group: Group, now: float, actions: list[Action]) -> None:
    """Limits were lowered, or a replacement arrived after what it was to replace had ended."""
    while (room := group.room()) is not None and room < 0:
        if spawning := demand.excess_spawn([group]):
            call_off(ledger, spawning, actions)
        elif process := demand.excess_in(group):
            retire(ledger, process, "max_instances", now, actions)
    while ledger.room() < 0:
        if spawning := demand.excess_spawn(ledger.all_groups()):
            call_off(ledger, spawning, actions)
            demand.place(ledger, spawning.group, now)
        elif process := demand.excess_process(ledger):
            retire(ledger, process, "max_pool_size", now, actions)
            demand.place(ledger, process.group, now)


def call_off(ledger: Ledger, spawning: Spawning, actions: list[Action]) -> None:
    ledger.end_spawn(spawning)
    actions.append(CallOff(spawning))


def fill(ledger: Ledger, now: float, actions: list[Action]) -> None:
    while True:
        spawning: Spawning | None = demand.next_spawn(ledger, now)
        if spawning is not None:
            actions.append(Spawn(spawning))
            continue
        process = demand.place_to_take(ledger, now) if ledger.look_around else None
        if process is None:
            break
        retire(ledger, process, "another application needs its place", now, actions)
        demand.place(ledger, process.group, now)
    ledger.look_around = False


def refuse_all(ledger: Ledger, group: Group, reason: RefusalReason, now: float, actions: list[Action]) -> None:
    is_failure = reason is not RefusalReason.STOPPING
    retry_after = math.ceil(group.backoff.remaining(now)) if is_failure else RETRY_SOON
    error = group.last_error if is_failure else None
    refusal = Refusal(reason, group.name, retry_after=retry_after, error=error)
    for process in list(group.processes) if group.pinned else ():
        ledger.unpin(process)
    while group.waiters:
        waiter: Waiter = ledger.next_waiter(group)
        actions.append(Refuse(waiter, refusal))
        group.counters.refused_spawn_failed += is_failure


def _close(ledger: Ledger, group: Group, actions: list[Action]) -> None:
    ledger.forget_group(group)
    actions.append(CloseGeneration(group.generation))
    if group.fallback is not None:
        actions.append(CloseGeneration(group.fallback))


def retire(ledger: Ledger, process: Process, why: str, now: float, actions: list[Action]) -> None:
    ledger.withdraw(process)
    process.retired_at, process.retired_why = now, why
    process.group.retirements.append(Retirement(process.pid, why, now, process.processed))
    actions.append(Retire(process, why))
    if not process.is_busy():
        begin_stop(ledger, process, now, actions)


def begin_stop(ledger: Ledger, process: Process, now: float, actions: list[Action]) -> None:
    ledger.begin_stop(process, now=now)
    actions.append(AskToStop(process))
