"""What went wrong lately: the last starts that failed, and how often processes of each application crashed.

Rules.
1. Bounded: KEPT failures for the whole instance, each with the last OUTPUT characters that the process wrote; CRASHES
   moments per application.
2. What a process wrote is given to nobody without the token: it may hold anything.
3. Failures are kept from the start of the core on; crashes are seen while somebody looks (`look`), as totals grow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from passenger.clock import Clock
from passenger.lazy_dataclass import dataclass
from passenger.spawn.spawner import SpawnError
from passenger.wire.status import GroupStatus

KEPT: Final = 20
OUTPUT: Final = 8192
CRASHES: Final = 20
WINDOW: Final = 900.0
LOOP: Final = 3
"""So many crashes and failed starts within WINDOW are a loop."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A start that failed."""

    app: str
    at: float
    error_id: str
    category: str
    summary: str
    hint: str
    steps: tuple[tuple[str, str, float], ...]
    output: str


class Troubles:
    """Of one core."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: deque[Failure] = deque(maxlen=KEPT)
        self._totals: dict[str, int] = {}
        self._crashes: dict[str, deque[float]] = {}

    def failed(self, app: str, error: SpawnError) -> None:
        """FailureObserver of the pool."""
        self._failures.append(
            Failure(
                app=app,
                at=self._clock.wall(),
                error_id=error.error_id,
                category=error.category,
                summary=error.summary,
                hint=error.hint,
                steps=error.steps,
                output=error.output[-OUTPUT:],
            )
        )

    def look(self, groups: Iterable[GroupStatus]) -> None:
        """Note the crashes since the look before; an application that is seen for the first time has none."""
        totals = {group["name"]: group["counters"]["crashes"] for group in groups}
        now = self._clock.wall()
        for app, total in totals.items():
            moments = self._crashes.setdefault(app, deque(maxlen=CRASHES))
            moments.extend([now] * min(max(0, total - self._totals.get(app, total)), CRASHES))
        self._crashes = {app: moments for app, moments in self._crashes.items() if app in totals}
        self._totals = totals

    def failures(self) -> list[dict[str, Any]]:
        """For everybody who may look: latest first, without what the processes wrote."""
        return [
            {
                "app": one.app,
                "at": one.at,
                "id": one.error_id,
                "category": one.category,
                "summary": one.summary,
                "hint": one.hint,
                "steps": one.steps,
                "has_output": bool(one.output),
            }
            for one in reversed(self._failures)
        ]

    def output(self, error_id: str) -> str | None:
        """What the process of that failure wrote; None = there is no such failure (any more)."""
        return next((one.output for one in self._failures if one.error_id == error_id), None)

    def loops(self, groups: Iterable[GroupStatus]) -> dict[str, dict[str, Any]]:
        """Applications whose processes do not stay: (crashes, failed starts) within WINDOW, and the wait that is on."""
        since = self._clock.wall() - WINDOW
        found = {}
        for group in groups:
            name = group["name"]
            crashes = sum(moment >= since for moment in self._crashes.get(name, ()))
            failures = sum(one.app == name and one.at >= since for one in self._failures)
            if group["backing_off_for"] > 0 or crashes + failures >= LOOP:
                found[name] = {"crashes": crashes, "failed_starts": failures, "next_start_in": group["backing_off_for"]}
        return found
