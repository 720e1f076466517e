"""What the steps of starts took, by application: for /metrics. A JourneyObserver."""

from __future__ import annotations

from passenger.spawn.journey import Journey


class StepSums:
    """Sums since the core started."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], tuple[int, float]] = {}
        """(application, step) -> how many, and their seconds."""

    def __call__(self, journey: Journey) -> None:
        """A start is over; steps that it did not come to are not there."""
        for step, state, seconds in journey.steps():
            if state != "not started":
                count, total = self.sums.get((journey.app, step), (0, 0.0))
                self.sums[journey.app, step] = count + 1, total + seconds
