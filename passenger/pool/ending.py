"""Processes that are told to go by somebody else than the pool's own limits: a limit, an operator, a restart.

Rules.
1. A withdrawn process finishes its requests: it only takes no further one.
2. A condemned process is not waited for: SIGTERM at once and SIGKILL after `patience`, or SIGKILL at once. Its requests
   are lost, and those of no other process.
3. The end of such a process is no crash: it does not count as a quick end, and nothing backs off.
4. A process that still finishes requests `drain_timeout` after it was retired is condemned; its patience is
   `shutdown_timeout`.
"""

from __future__ import annotations

from passenger.pool.actions import Action, Kill, Terminate
from passenger.pool.events import Condemned, Withdrawn
from passenger.pool.ledger import Ledger
from passenger.pool.model import ProcessState, Retirement
from passenger.pool.settle import retire, settle


def withdrawn(ledger: Ledger, event: Withdrawn, now: float, actions: list[Action]) -> None:
    """Event: the process takes no further request."""
    if event.process.stays():
        retire(ledger, event.process, event.why, now, actions)
        settle(ledger, event.process.group, now, actions)


def condemned(ledger: Ledger, event: Condemned, now: float, actions: list[Action]) -> None:
    """Event: the process is to end now."""
    process = event.process
    if process.state is ProcessState.GONE or process.signals_sent == 2:
        return
    if process.stays():
        retire(ledger, process, event.why, now, actions)
    elif process.retired_why != event.why:  # it was leaving for another reason, which is not why it ends now
        process.retired_why = event.why
        process.group.retirements.append(Retirement(process.pid, event.why, now, process.processed))
    if event.patience > 0 and not process.signals_sent:
        process.signals_sent = 1
        ledger.condemned[process] = now + event.patience
        actions.append(Terminate(process))
    elif event.patience <= 0:
        process.signals_sent = 2
        ledger.condemned.pop(process, None)
        actions.append(Kill(process))
    settle(ledger, process.group, now, actions)


def press_condemned(ledger: Ledger, now: float, actions: list[Action]) -> None:
    """Time has passed: SIGKILL for those that did not listen to SIGTERM."""
    for process, until in list(ledger.condemned.items()):
        was_killed = process.signals_sent == 2
        if was_killed or now >= until:
            del ledger.condemned[process]
            process.signals_sent = 2
        if not was_killed and now >= until:
            actions.append(Kill(process))


def press_draining(ledger: Ledger, now: float, actions: list[Action]) -> None:
    """Time has passed: SIGTERM for those whose requests do not come to an end (rule 4)."""
    for process in ledger.draining:
        app = process.group.app
        if app.drain_timeout and not process.signals_sent and now - process.retired_at >= app.drain_timeout:
            process.signals_sent = 1
            ledger.condemned[process] = now + app.shutdown_timeout
            actions.append(Terminate(process))
