"""The deadlines of a request, by its state: pure arithmetic in ticks of the wheel.

READING    the head has HEAD_TICKS
QUEUED     response_timeout and max_request_queue_time, since it was queued; held by a pause: the time for that instead
           of the latter
RUNNING    response_timeout until the response begins, since a process has all that came of it; max_request_time
           until the response is whole, since a process has it
LINGERING  LINGER_TICKS
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from passenger.request.wheel import NEVER, ticks

if TYPE_CHECKING:
    from passenger.request.routes import Route

HEAD_TICKS: Final = ticks(20.0)
LINGER_TICKS: Final = ticks(5.0)


class Overdue(enum.Enum):
    """Which deadline has passed."""

    RESPONSE = "response_timeout"
    QUEUE_TIME = "max_request_queue_time"
    HELD = "held by a pause"
    REQUEST_TIME = "max_request_time"


def earliest(since: int, *limits: int) -> int:
    """The first of some deadlines; a limit may be NEVER."""
    return min((since + limit for limit in limits if limit != NEVER), default=NEVER)


def due_in_queue(route: Route, queued: int) -> int:
    return earliest(queued, route.response_ticks, route.queue_ticks, route.hold_ticks)


def due_in_process(route: Route, *, granted: int, heard: int, begun: bool) -> int:
    """`granted`: when a process got it; `heard`: when the last of it went there; `begun`: the response has."""
    response = NEVER if begun else earliest(heard, route.response_ticks)
    return earliest(0, response, earliest(granted, route.request_ticks))


def overdue_in_queue(route: Route, queued: int, now: int) -> Overdue:
    """Why it is overdue; only to be asked when it is."""
    for why, limit in ((Overdue.HELD, route.hold_ticks), (Overdue.QUEUE_TIME, route.queue_ticks)):
        if limit != NEVER and now >= queued + limit:
            return why
    return Overdue.RESPONSE


def overdue_in_process(route: Route, granted: int, now: int) -> Overdue:
    """Likewise."""
    due = earliest(granted, route.request_ticks)
    return Overdue.REQUEST_TIME if due != NEVER and now >= due else Overdue.RESPONSE
