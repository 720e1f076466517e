"""When a request is overdue, and why."""

from __future__ import annotations

import pytest

from passenger.config.model import App
from passenger.request.deadlines import (
    Overdue,
    due_in_process,
    due_in_queue,
    earliest,
    overdue_in_process,
    overdue_in_queue,
)
from passenger.request.routes import Route, routes_of
from passenger.request.wheel import NEVER, ticks


def route(**limits: float) -> Route:
    keys = {"response_timeout": 0.0, **limits}
    return routes_of({"blog": App(app_root="/", **keys)}, {})[b"blog"]  # type: ignore[arg-type]


def test_the_earliest_of_several_limits() -> None:
    assert earliest(100) == NEVER
    assert earliest(100, NEVER, NEVER) == NEVER
    assert earliest(100, NEVER, 7, 3) == 103


T, LONG = 2.0, 10.0


@pytest.mark.parametrize(
    ("limits", "due"),
    [
        ({}, NEVER),
        ({"response_timeout": LONG}, 100 + ticks(LONG)),
        ({"max_request_queue_time": T}, 100 + ticks(T)),
        ({"response_timeout": LONG, "max_request_queue_time": T}, 100 + ticks(T)),
        ({"response_timeout": T, "max_request_queue_time": LONG}, 100 + ticks(T)),
        ({"max_request_time": T}, NEVER),
    ],
)
def test_in_the_queue(limits: dict[str, float], due: int) -> None:
    assert due_in_queue(route(**limits), 100) == due


@pytest.mark.parametrize(
    ("limits", "begun", "due"),
    [
        ({}, False, NEVER),
        ({"response_timeout": T}, False, 120 + ticks(T)),
        ({"response_timeout": T}, True, NEVER),
        ({"max_request_time": T}, False, 100 + ticks(T)),
        ({"max_request_time": T}, True, 100 + ticks(T)),
        ({"max_request_time": LONG, "response_timeout": T}, False, 120 + ticks(T)),
        ({"max_request_time": LONG, "response_timeout": T}, True, 100 + ticks(LONG)),
        ({"max_request_queue_time": T}, False, NEVER),
    ],
)
def test_in_a_process(limits: dict[str, float], begun: bool, due: int) -> None:  # noqa: FBT001
    """The request time counts from the grant, the response timeout from the last that went to the process."""
    assert due_in_process(route(**limits), granted=100, heard=120, begun=begun) == due


def test_which_one_it_was() -> None:
    both = route(response_timeout=LONG, max_request_queue_time=T, max_request_time=T)
    assert overdue_in_queue(both, 100, 100 + ticks(T)) is Overdue.QUEUE_TIME
    assert overdue_in_queue(route(response_timeout=T), 100, 100 + ticks(T)) is Overdue.RESPONSE
    assert overdue_in_process(both, 100, 100 + ticks(T)) is Overdue.REQUEST_TIME
    slow = route(response_timeout=T, max_request_time=LONG)
    assert overdue_in_process(slow, 100, 100 + ticks(T)) is Overdue.RESPONSE
