"""Out-of-band work: a process asks, with a response, for time without requests, such as for a garbage collection.

Rules.
1. It gets that time when it has finished what it runs. Until then, and meanwhile, it takes no request. WebSockets and
   requests that take no place are no reason to wait. What does not end within `out_of_band_work_timeout` is: the
   process serves again, its wish is dropped.
2. At most `max_out_of_band_work_instances` processes of a group are away at a time; others wait for their turn.
3. The only process that serves goes only when it runs nothing and nobody waits; requests that come meanwhile wait, and
   another process is started for them where there is room.
4. A process that is to be replaced goes no errand. One that comes back from it when its code is old is replaced, as
   those were that stayed.
"""

from __future__ import annotations

import math

from passenger.pool.actions import Action, DropErrand, RunErrand
from passenger.pool.events import ErrandAsked, ErrandOver
from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, ProcessState
from passenger.pool.settle import retire, settle
from passenger.pool.sticky import serve


def asked(ledger: Ledger, event: ErrandAsked, now: float, actions: list[Action]) -> None:
    """Event: a process wants time without requests."""
    group = event.process.group
    if event.process.takes_requests() and group.app.max_out_of_band_work_instances:
        group.wishes[event.process] = None
        ledger.wishing[group] = None
        consider(ledger, group, now, actions)
        settle(ledger, group, now, actions)


def over(ledger: Ledger, event: ErrandOver, now: float, actions: list[Action]) -> None:
    """Event: the work is done, or took too long."""
    group = event.process.group
    if event.process in group.errands:
        _return(ledger, event.process, now, actions)
        consider(ledger, group, now, actions)
        settle(ledger, group, now, actions)


def tick(ledger: Ledger, group: Group, now: float, actions: list[Action]) -> None:
    """Time has passed for a group with processes that wish for, or are at, such work."""
    for process in list(group.errands):
        begin_if_free(process, actions)
        if group.errands.get(process, math.inf) <= now:
            actions.append(DropErrand(process))
            _return(ledger, process, now, actions)
    consider(ledger, group, now, actions)
    if not group.wishes and not group.errands:
        ledger.wishing.pop(group, None)  # it may have been the last of a group that is over
    settle(ledger, group, now, actions)


def _return(ledger: Ledger, process: Process, now: float, actions: list[Action]) -> None:
    group = process.group
    if process.generation is group.generation:
        ledger.come_back(process, now=now)
        serve(ledger, process, actions)
    elif group.is_rolling():
        ledger.come_back(process, now=now)
        ledger.arrange(group)
        serve(ledger, process, actions)
    else:
        retire(ledger, process, "replaced", now, actions)


def consider(ledger: Ledger, group: Group, now: float, actions: list[Action]) -> None:
    """Something changed: may a process go now?"""
    for process in list(group.wishes):
        if not process.takes_requests() or process in group.outdated or process in group.outlived:
            del group.wishes[process]
        elif len(group.errands) < group.app.max_out_of_band_work_instances and _may_go(group, process):
            del group.wishes[process]
            ledger.send_away(process, until=now + group.app.out_of_band_work_timeout)
            begin_if_free(process, actions)


def begin_if_free(process: Process, actions: list[Action]) -> None:
    """It may have finished what it ran."""
    errands = process.group.errands
    waits = errands.get(process, math.inf) < math.inf
    if waits and process.state is ProcessState.ASIDE and not process.is_engaged():
        errands[process] = math.inf  # it has begun
        actions.append(RunErrand(process))


def _may_go(group: Group, process: Process) -> bool:
    if group.leaving:
        return False
    return group.enabled > 1 or not (process.is_engaged() or group.waiters or process.pinned)
