"""The answers to /livez, /readyz and /startupz: of constant cost, and with the reason in words.

live    the core's event loop runs (whoever gets this answer has the proof).
started every application has had its `min_instances` ready once, or has failed to start and is being retried.
ready   started, and neither stopping nor drained by an operator: a load balancer may send requests.
"""

from __future__ import annotations

from collections.abc import Callable

from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """The facts behind the probes."""

    started: bool
    draining: bool
    """The instance is being stopped."""
    drained: bool = False
    """An operator wants load balancers to send nothing."""

    @property
    def ready(self) -> bool:
        return self.started and not (self.draining or self.drained)

    @property
    def reasons(self) -> list[str]:
        reasons = []
        if self.draining:
            reasons.append("the instance is stopping")
        if self.drained:
            reasons.append("drained by an operator")
        if not self.started:
            reasons.append("applications are starting")
        return reasons


def probe(name: str, health: Health) -> tuple[int, str]:
    """HTTP status and text of a probe: 200, or 503 with the reason; 404 for a probe that does not exist."""
    answers = {"livez": True, "readyz": health.ready, "startupz": health.started}
    good = answers.get(name)
    if good is None:
        return 404, "no such probe; there are /livez, /readyz and /startupz"
    return (200, "ok") if good else (503, "; ".join(health.reasons))


class Probes:
    """Keeps the one fact that is nobody else's, whether the core is draining, and asks for the other."""

    def __init__(self, is_started: Callable[[], bool]) -> None:
        self._is_started = is_started
        self.draining = False
        self.drained_at: float | None = None
        """Seconds since the epoch; None = it is not."""

    @property
    def health(self) -> Health:
        return Health(started=self._is_started(), draining=self.draining, drained=self.drained_at is not None)

    def answer(self, name: str) -> tuple[int, str]:
        """For the RequestHandler."""
        return probe(name, self.health)
