"""The watchdog's own numbers."""

from __future__ import annotations

from typing import NamedTuple

from passenger.instance.plan import Plan


class Limits(NamedTuple):
    """The configured times (seconds) and counts."""

    start_timeout: float
    drain_delay: float
    drain_timeout: float
    max_crashes: int
    crash_window: float


def limits_of(plan: Plan) -> Limits:
    """The watchdog's own numbers of a plan."""
    return Limits(
        start_timeout=plan.start_timeout,
        drain_delay=plan.drain_delay,
        drain_timeout=plan.drain_timeout,
        max_crashes=plan.max_crashes,
        crash_window=plan.crash_window,
    )
