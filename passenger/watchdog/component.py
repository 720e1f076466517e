"""One supervised program (core, nginx) as a state x event table. Pure: what to do is returned, not done.

Rules.
1. Every pair of state and event has a row; a row that changes nothing is written down, not left out.
2. Entering a state sets its timer, leaving it cancels that timer.
3. A program that has to go is never believed gone before its exit was seen (GONE).

    IDLE ----START----> STARTING --READY--> RUNNING
      ^                  |  |  UNWELL           | UNWELL, DRAIN, TERMINATE, KILL
      |<---GONE (crash)--+  +---> CONDEMNED <---+---> DRAINING -> TERMINATING -> KILLING
      +---BACK_OFF---> BACKING_OFF --BACKED_OFF--> STARTING
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


class State(enum.Enum):
    """Where a component is in its life."""

    IDLE = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "waiting to be restarted"
    CONDEMNED = "being killed after a failure"
    DRAINING = "draining"
    TERMINATING = "terminating"
    KILLING = "being killed"


class Event(enum.Enum):
    """What happens to a component."""

    START = "start"
    READY = "ready"
    UNWELL = "unwell"
    """It failed, but its process is still there."""
    GONE = "gone"
    BACK_OFF = "back off"
    BACKED_OFF = "backed off"
    HEALTHY = "healthy"
    DRAIN = "drain"
    TERMINATE = "terminate"
    KILL = "kill"


class Do(enum.Enum):
    """What has to be done to the process."""

    NOTHING = "nothing"
    START = "start"
    DRAIN = "drain"
    TERMINATE = "terminate"
    KILL = "kill"


class Outcome(enum.Enum):
    """What the instance has to hear about."""

    NONE = "none"
    READY = "ready"
    CRASHED = "crashed"
    STOPPED = "stopped"
    HEALTHY = "healthy"


class Row(NamedTuple):
    """One cell of the table."""

    state: State
    do: Do = Do.NOTHING
    outcome: Outcome = Outcome.NONE


def _same(state: State, *events: Event) -> dict[tuple[State, Event], Row]:
    return {(state, event): Row(state) for event in events}


def _table() -> dict[tuple[State, Event], Row]:
    s, e, d, o = State, Event, Do, Outcome
    return {
        (s.IDLE, e.START): Row(s.STARTING, d.START),
        (s.IDLE, e.BACK_OFF): Row(s.BACKING_OFF),
        (s.IDLE, e.DRAIN): Row(s.IDLE, outcome=o.STOPPED),
        (s.IDLE, e.TERMINATE): Row(s.IDLE, outcome=o.STOPPED),
        (s.IDLE, e.KILL): Row(s.IDLE, outcome=o.STOPPED),
        **_same(s.IDLE, e.READY, e.UNWELL, e.GONE, e.BACKED_OFF, e.HEALTHY),
        (s.STARTING, e.READY): Row(s.RUNNING, outcome=o.READY),
        (s.STARTING, e.UNWELL): Row(s.CONDEMNED, d.KILL),
        (s.STARTING, e.GONE): Row(s.IDLE, outcome=o.CRASHED),
        (s.STARTING, e.DRAIN): Row(s.TERMINATING, d.TERMINATE),
        (s.STARTING, e.TERMINATE): Row(s.TERMINATING, d.TERMINATE),
        (s.STARTING, e.KILL): Row(s.KILLING, d.KILL),
        **_same(s.STARTING, e.START, e.BACK_OFF, e.BACKED_OFF, e.HEALTHY),
        (s.RUNNING, e.UNWELL): Row(s.CONDEMNED, d.KILL),
        (s.RUNNING, e.GONE): Row(s.IDLE, outcome=o.CRASHED),
        (s.RUNNING, e.HEALTHY): Row(s.RUNNING, outcome=o.HEALTHY),
        (s.RUNNING, e.DRAIN): Row(s.DRAINING, d.DRAIN),
        (s.RUNNING, e.TERMINATE): Row(s.TERMINATING, d.TERMINATE),
        (s.RUNNING, e.KILL): Row(s.KILLING, d.KILL),
        **_same(s.RUNNING, e.START, e.READY, e.BACK_OFF, e.BACKED_OFF),
        (s.BACKING_OFF, e.START): Row(s.STARTING, d.START),
        (s.BACKING_OFF, e.BACKED_OFF): Row(s.STARTING, d.START),
        (s.BACKING_OFF, e.DRAIN): Row(s.IDLE, outcome=o.STOPPED),
        (s.BACKING_OFF, e.TERMINATE): Row(s.IDLE, outcome=o.STOPPED),
        (s.BACKING_OFF, e.KILL): Row(s.IDLE, outcome=o.STOPPED),
        **_same(s.BACKING_OFF, e.READY, e.UNWELL, e.GONE, e.BACK_OFF, e.HEALTHY),
        (s.CONDEMNED, e.GONE): Row(s.IDLE, outcome=o.CRASHED),
        (s.CONDEMNED, e.DRAIN): Row(s.KILLING, d.KILL),
        (s.CONDEMNED, e.TERMINATE): Row(s.KILLING, d.KILL),
        (s.CONDEMNED, e.KILL): Row(s.KILLING, d.KILL),
        **_same(s.CONDEMNED, e.START, e.READY, e.UNWELL, e.BACK_OFF, e.BACKED_OFF, e.HEALTHY),
        (s.DRAINING, e.GONE): Row(s.IDLE, outcome=o.STOPPED),
        (s.DRAINING, e.TERMINATE): Row(s.TERMINATING, d.TERMINATE),
        (s.DRAINING, e.KILL): Row(s.KILLING, d.KILL),
        **_same(s.DRAINING, e.START, e.READY, e.UNWELL, e.BACK_OFF, e.BACKED_OFF, e.HEALTHY, e.DRAIN),
        (s.TERMINATING, e.GONE): Row(s.IDLE, outcome=o.STOPPED),
        (s.TERMINATING, e.KILL): Row(s.KILLING, d.KILL),
        **_same(s.TERMINATING, e.START, e.READY, e.UNWELL, e.BACK_OFF, e.BACKED_OFF, e.HEALTHY, e.DRAIN, e.TERMINATE),
        (s.KILLING, e.GONE): Row(s.IDLE, outcome=o.STOPPED),
        (s.KILLING, e.KILL): Row(s.KILLING, d.KILL),
        **_same(s.KILLING, e.START, e.READY, e.UNWELL, e.BACK_OFF, e.BACKED_OFF, e.HEALTHY, e.DRAIN, e.TERMINATE),
    }


TABLE: Final = _table()

TIMERS: Final = {
    State.STARTING: Event.UNWELL,
    State.BACKING_OFF: Event.BACKED_OFF,
    State.RUNNING: Event.HEALTHY,
}
"""The event that the timer of a state delivers."""
