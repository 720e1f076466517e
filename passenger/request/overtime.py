"""What becomes of a process some of whose requests have run longer than `max_request_time`: a pure decision.

The guilty request goes first and alone: its loader interrupts it, or its connection is closed. The process follows only
when that did not help, and it takes no innocent request with it if it lives at all.

    stuck     an interrupted request still runs after GRACE; or nobody can interrupt it, and it keeps its place;
              or the process does not answer a ping for DOUBT
    others    requests of the process that are not overdue; each of them becomes overdue in its turn, so waiting for
              them has an end

    stuck, no others                  condemn
    stuck, others, takes requests     withdraw: no new ones, a successor starts
    stuck, others, withdrawn          wait
    no answer to a ping for SILENCE   condemn, whoever else is in there
    nothing held, ping answered       over
"""

from __future__ import annotations

import enum
from typing import Final

from passenger.lazy_dataclass import dataclass

GRACE: Final = 3.0
"""Seconds that an interrupted request has to end."""
DOUBT: Final = 1.0
"""Seconds without an answer to a ping after which a process gets no further requests."""
SILENCE: Final = 10.0
"""Seconds without an answer after which it is given up with all its requests: two pings of five seconds."""
PATIENCE: Final = 5.0
"""Seconds from SIGTERM to SIGKILL for a process that is given up."""


class Verdict(enum.Enum):
    """What to do now."""

    WAIT = "look again in a moment"
    OVER = "it is all right"
    WITHDRAW = "it gets no further request"
    CONDEMN = "end it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The facts about one process."""

    held: int
    """Overdue requests that it still works on."""
    held_for: float
    """Seconds since the first of them was called off."""
    silent_for: float | None
    """Seconds since a ping that has no answer; None = there is none, or it has one."""
    others: int
    interrupts: bool
    """Its loader interrupts single requests."""
    is_withdrawn: bool


def judge(trouble: Trouble) -> Verdict:
    """The table above."""
    silence = trouble.silent_for or 0.0
    if silence >= SILENCE:
        return Verdict.CONDEMN
    grace = GRACE if trouble.interrupts else 0.0
    is_stuck = silence >= DOUBT or (trouble.held > 0 and trouble.held_for >= grace)
    if is_stuck and not trouble.others:
        return Verdict.CONDEMN
    if is_stuck and not trouble.is_withdrawn:
        return Verdict.WITHDRAW
    return Verdict.OVER if not trouble.held and trouble.silent_for is None else Verdict.WAIT
