"""The pool's decisions: one event in, the ledger changed, a list of actions out. No I/O, no clock.

Every event that leaves something to decide ends in `settle`, so the same questions are asked after every change.

The life of a process: enabled -> draining (no new session) -> stopping (no session left: its stdin is closed) ->
gone. After TERM_AFTER it gets SIGTERM, after the application's `shutdown_timeout` SIGKILL. Requests in progress are
only cut short when they go on `drain_timeout` after that began (`ending`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from passenger.pool import demand, ending, errands, reconfiguring, rolling, sticky, wear
from passenger.pool.actions import Action, Dispose, Grant, Kill, Refuse, Terminate, Watch
from passenger.pool.backoff import QUICK_EXIT
from passenger.pool.events import (
    Arrived,
    Condemned,
    Departed,
    ErrandAsked,
    ErrandOver,
    Event,
    Exited,
    GivenUp,
    OnDemand,
    Outlived,
    Pinned,
    Ready,
    Reconfigured,
    Released,
    RestartAsked,
    SpawnFailed,
    Started,
    Stopped,
    Ticked,
    Unreachable,
    Withdrawn,
)
from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, ProcessState
from passenger.pool.session import BesideSession, Refusal, RefusalReason, Session
from passenger.pool.settle import RETRY_SOON, begin_stop, fill, refuse_all, retire, settle

TERM_AFTER: Final = 5.0
"""Seconds that a process has to end after its stdin was closed; at most half of its `shutdown_timeout`."""


def decide(ledger: Ledger, event: Event, *, now: float) -> list[Action]:
    """What is to be done about an event. Monotonic seconds. The actions are in the order in which to do them."""
    actions: list[Action] = []
    _ON[type(event)](ledger, event, now, actions)
    return actions


# Requests


def _arrived(ledger: Ledger, event: Arrived, now: float, actions: list[Action]) -> None:
    group, waiter = event.group, event.waiter
    if group.places.free:
        actions.append(Grant(waiter, group.places.take()))
        return
    if group.is_queue_full():
        group.counters.refused_queue_full += 1
        refusal = Refusal(RefusalReason.QUEUE_FULL, group.name, retry_after=RETRY_SOON)
        actions.append(Refuse(waiter, refusal))
        return
    ledger.enqueue(group, waiter)
    settle(ledger, group, now, actions)


def _departed(ledger: Ledger, event: Departed, now: float, actions: list[Action]) -> None:
    group = ledger.dequeue(event.waiter)
    if group is not None:
        if event.is_late:
            group.counters.refused_queue_time += 1
        else:
            group.counters.departed_in_queue += 1
        settle(ledger, group, now, actions)


def _released(ledger: Ledger, event: Released, now: float, actions: list[Action]) -> None:
    process = event.session.process
    _end_session(event.session, now)
    wear.note_requests(ledger, process)
    if process.pinned:
        sticky.serve(ledger, process, actions)
    if process in process.group.errands:
        errands.begin_if_free(process, actions)
    elif process.group.wishes:
        errands.consider(ledger, process.group, now, actions)
    if process.state is ProcessState.DRAINING and not process.is_busy():
        begin_stop(ledger, process, now, actions)
    if ledger.starving and process in ledger.idle:
        ledger.look_around = True
    settle(ledger, process.group, now, actions)


def _unreachable(ledger: Ledger, event: Unreachable, now: float, actions: list[Action]) -> None:
    process = event.session.process
    _end_session(event.session, now)
    if process.stays():
        _count_quick_end(ledger, process, event, now, actions)
        retire(ledger, process, event.error.summary, now, actions)
    elif process.state is ProcessState.DRAINING and not process.is_busy():
        begin_stop(ledger, process, now, actions)
    settle(ledger, process.group, now, actions)


def _end_session(session: Session, now: float) -> None:
    process = session.process
    if isinstance(session, BesideSession):
        process.beside -= 1
        process.processed += not session.is_counted
        return
    session.socket.sessions -= 1
    process.processed += 1
    if process.state is ProcessState.ENABLED:
        process.group.places.give_back(process, now)
    else:
        process.sessions -= 1
        process.last_used = now


# Processes


def _ready(ledger: Ledger, event: Ready, now: float, actions: list[Action]) -> None:
    spawning = event.spawning
    group = spawning.group
    if not ledger.end_spawn(spawning):
        process = ledger.receive_late(spawning, event.running, now=now)
        actions.append(Watch(process))
        begin_stop(ledger, process, now, actions)
        return
    process = ledger.attach(spawning, event.running, now=now)
    wear.set_limits(group, process)
    actions.append(Watch(process))
    group.backoff.succeeded(now)
    ledger.backing_off.pop(group, None)
    ledger.look_around = True
    rolling.became_ready(ledger, spawning, now, actions)
    settle(ledger, group, now, actions)


def _spawn_failed(ledger: Ledger, event: SpawnFailed, now: float, actions: list[Action]) -> None:
    spawning = event.spawning
    group = spawning.group
    if not ledger.end_spawn(spawning):
        return
    group.counters.spawn_failures += 1
    group.last_error, group.last_error_at = event.error, event.wall
    group.started = True
    if group.is_gathering:
        ledger.enable_all(group, now=now)
    is_stopped = rolling.start_failed(ledger, group, spawning.generation, event.error, now, actions)
    if not (is_stopped and spawning.surge):
        _count_failure(ledger, group, began_at=spawning.began_at, now=now)
    if group.waiters and group.is_hopeless(now):
        refuse_all(ledger, group, RefusalReason.SPAWN_FAILED, now, actions)
    settle(ledger, group, now, actions)


def _exited(ledger: Ledger, event: Exited, now: float, actions: list[Action]) -> None:
    process = event.process
    if process.state is ProcessState.GONE:
        return
    process.group.counters.exits += 1
    was_serving = process.stays()
    ledger.remove(process)
    if was_serving:
        process.group.counters.crashes += 1
        _count_quick_end(ledger, process, event, now, actions)
    actions.append(Dispose(process))
    settle(ledger, process.group, now, actions)


def _count_quick_end(
    ledger: Ledger, process: Process, event: Exited | Unreachable, now: float, actions: list[Action]
) -> None:
    """A process ended unasked or can't be reached: soon after its start that is a failed start."""
    group = process.group
    if now - process.started_at < QUICK_EXIT:
        group.last_error, group.last_error_at = event.error, event.wall
        _count_failure(ledger, group, began_at=process.started_at, now=now)
        rolling.start_failed(ledger, group, process.generation, event.error, now, actions)


def _count_failure(ledger: Ledger, group: Group, *, began_at: float, now: float) -> None:
    group.backoff.failed(began_at=began_at, now=now, jitter=ledger.jitter())
    ledger.backing_off[group] = None


# Time


def _ticked(ledger: Ledger, _: Ticked, now: float, actions: list[Action]) -> None:
    for process in list(ledger.stopping):
        _press(process, now, actions)
    ending.press_draining(ledger, now, actions)
    ending.press_condemned(ledger, now, actions)
    for process in wear.expire(ledger, now):
        demand.place(ledger, process.group, now)
    for group in list(ledger.wishing):
        errands.tick(ledger, group, now, actions)
        demand.place(ledger, group, now)
    for group in list(ledger.backing_off):
        if not group.backoff.is_waiting(now):
            del ledger.backing_off[group]
            demand.place(ledger, group, now)
    if ledger.limits.pool_idle_time > 0:
        for group in list(ledger.above_minimum):
            _stop_idle(ledger, group, now, actions)
    ledger.look_around = True
    fill(ledger, now, actions)


def _press(process: Process, now: float, actions: list[Action]) -> None:
    patience = process.group.app.shutdown_timeout
    waited = now - process.stop_asked_at
    if process.signals_sent < 2 and waited >= patience:
        process.signals_sent = 2
        actions.append(Kill(process))
    elif process.signals_sent < 1 and waited >= min(TERM_AFTER, patience / 2):
        process.signals_sent = 1
        actions.append(Terminate(process))


def _stop_idle(ledger: Ledger, group: Group, now: float, actions: list[Action]) -> None:
    if group.restart is not None and group.restart.has_failed():
        return  # what is started in its place later may not start (rule 6 of `rolling`)
    while group.enabled > group.minimum:
        process = group.places.longest_idle()
        if process is None or now - process.last_used < ledger.limits.pool_idle_time:
            return
        if process.beside:
            ledger.used(process, now)
        else:
            retire(ledger, process, "idle", now, actions)


# Configuration and the end


def _started(ledger: Ledger, _: Started, now: float, actions: list[Action]) -> None:
    for group in list(ledger.groups.values()):
        settle(ledger, group, now, actions)


def _stopped(ledger: Ledger, _: Stopped, now: float, actions: list[Action]) -> None:
    ledger.is_stopping = True
    for group in ledger.all_groups():
        ledger.let_go(group)
        settle(ledger, group, now, actions)


def _given_up(ledger: Ledger, _: GivenUp, now: float, actions: list[Action]) -> None:
    ledger.is_stopping = True
    ledger.condemned.clear()
    for group in ledger.all_groups():
        refuse_all(ledger, group, RefusalReason.STOPPING, now, actions)
        ledger.let_go(group)
        settle(ledger, group, now, actions)
        for process in group.processes:
            process.signals_sent = 2
            actions.append(Kill(process))


_ON: Final[dict[type[Event], Callable[[Ledger, Any, float, list[Action]], None]]] = {
    Started: _started,
    Arrived: _arrived,
    Pinned: sticky.pinned,
    ErrandAsked: errands.asked,
    ErrandOver: errands.over,
    Departed: _departed,
    Released: _released,
    Unreachable: _unreachable,
    Ready: _ready,
    SpawnFailed: _spawn_failed,
    Exited: _exited,
    Withdrawn: ending.withdrawn,
    Condemned: ending.condemned,
    Outlived: rolling.outlived,
    RestartAsked: rolling.restart_asked,
    OnDemand: rolling.on_demand,
    Reconfigured: reconfiguring.reconfigured,
    Ticked: _ticked,
    Stopped: _stopped,
    GivenUp: _given_up,
}
