"""Waiting for the moment in which nobody sends an instance anything more: `passenger drain --wait`.

1. Quiet is: no application has a request running or waiting, and none has been given one for a while.
2. Probes of load balancers on the instance's own pages are no requests; what nginx answers from files or its cache is
   not seen.
3. An instance that ends meanwhile is an error of the question that is asked next, not quiet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from passenger.wire.status import CoreStatus

LOOKS: Final = 0.25
"""Seconds between two looks."""


def wait_until_quiet(
    look: Callable[[], CoreStatus],
    *,
    quiet: float,
    timeout: float,
    now: Callable[[], float],
    rest: Callable[[float], None],
) -> bool:
    """Whether `quiet` seconds without a request came to pass within `timeout` seconds."""
    began = since = now()
    given: int | None = None
    while True:
        running, requests = traffic(look())
        moment = now()
        if running or requests != given:
            given, since = requests, moment
        if moment - since >= quiet and not running:
            return True
        if moment - began >= timeout:
            return False
        rest(LOOKS)


def traffic(status: CoreStatus) -> tuple[int, int]:
    """Requests of applications that run or wait, and how many there were so far."""
    pool = status["pool"]
    running = pool["queue"] + sum(one["sessions"] for group in pool["groups"] for one in group["processes"])
    return running, sum(group["counters"]["requests"] for group in pool["groups"])
