"""Requests that belong to one process: they wait for it, and for no other.

Rules.
1. A request waits for its process only while that stays and has no free place; then it joins the queue of the group,
   where any process may serve it. `ledger.unpin` does that wherever a process leaves.
2. A place that becomes free goes by turns to who waits for this process and to who waits for any, if both do: neither
   can starve the other.
3. Both count for `max_request_queue_size`. Who waits for one process is no reason to start another.
"""

from __future__ import annotations

from passenger.pool.actions import Action, Grant, Refuse
from passenger.pool.events import Pinned
from passenger.pool.ledger import Ledger
from passenger.pool.model import Process
from passenger.pool.session import Refusal, RefusalReason
from passenger.pool.settle import RETRY_SOON


def pinned(ledger: Ledger, event: Pinned, _: float, actions: list[Action]) -> None:
    """Event: somebody wants this process, which has no place now."""
    group = event.process.group
    if group.is_queue_full():
        group.counters.refused_queue_full += 1
        actions.append(Refuse(event.waiter, Refusal(RefusalReason.QUEUE_FULL, group.name, retry_after=RETRY_SOON)))
    else:
        ledger.pin(event.process, event.waiter)


def serve(ledger: Ledger, process: Process, actions: list[Action]) -> None:
    """The process may have a place now (rule 2); what is left of it goes to the queue of the group."""
    group = process.group
    while process.pinned and process.has_place():
        if group.waiters and process.pinned_had_turn:
            process.pinned_had_turn = False
            actions.append(Grant(ledger.next_waiter(group), group.places.take_from(process)))
        else:
            process.pinned_had_turn = True
            actions.append(Grant(ledger.next_pinned(process), group.places.take_from(process)))
