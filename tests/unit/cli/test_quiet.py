"""When an instance counts as quiet: a script of what its core says, on a clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from passenger.cli.quiet import wait_until_quiet

if TYPE_CHECKING:
    from passenger.wire.status import CoreStatus


def status(requests: int, running: int = 0, queue: int = 0) -> CoreStatus:
    group = {"processes": [{"sessions": running}], "counters": {"requests": requests}}
    return cast("CoreStatus", {"pool": {"queue": queue, "groups": [group]}})


def waited(script: list[CoreStatus], *, quiet: float, timeout: float) -> tuple[bool, float]:
    """What came of it, and after how long; the last answer of the script stays."""
    time = 0.0

    def rest(seconds: float) -> None:
        nonlocal time
        time += seconds

    def look() -> CoreStatus:
        return script.pop(0) if len(script) > 1 else script[0]

    done = wait_until_quiet(look, quiet=quiet, timeout=timeout, now=lambda: time, rest=rest)
    return done, time


def test_an_instance_that_nobody_asks_is_quiet_after_the_time_without_requests() -> None:
    assert waited([status(7)], quiet=1, timeout=10) == (True, 1.0)


def test_each_request_begins_the_time_anew() -> None:
    assert waited([status(7), status(7), status(8), status(9)], quiet=1, timeout=10) == (True, 1.75)


def test_what_runs_or_waits_is_not_quiet() -> None:
    assert waited([status(7, running=1)], quiet=0.5, timeout=3) == (False, 3.0)
    assert waited([status(7, queue=1)], quiet=0.5, timeout=3) == (False, 3.0)
    assert waited([status(7, running=1), status(7)], quiet=0, timeout=3) == (True, 0.25)


def test_requests_that_go_on_end_the_waiting() -> None:
    assert waited([status(number) for number in range(100)], quiet=1, timeout=5) == (False, 5.0)
