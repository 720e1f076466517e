"""What a load balancer and an orchestrator are told."""

from __future__ import annotations

import pytest

from passenger.core.probes import Health, Probes, probe


@pytest.mark.parametrize(
    ("health", "name", "status"),
    [
        (Health(started=False, draining=False), "livez", 200),
        (Health(started=False, draining=False), "startupz", 503),
        (Health(started=False, draining=False), "readyz", 503),
        (Health(started=True, draining=False), "livez", 200),
        (Health(started=True, draining=False), "startupz", 200),
        (Health(started=True, draining=False), "readyz", 200),
        (Health(started=True, draining=True), "livez", 200),
        (Health(started=True, draining=True), "startupz", 200),
        (Health(started=True, draining=True), "readyz", 503),
        (Health(started=True, draining=False), "healthz", 404),
    ],
)
def test_probe(health: Health, name: str, status: int) -> None:
    """Status by state; a 503 always says why."""
    answered, text = probe(name, health)
    assert answered == status
    if status == 503:
        assert "starting" in text or "stopping" in text


def test_draining_is_noticed_at_once() -> None:
    """Readiness fails with the first step of a drain."""
    probes = Probes(lambda: True)
    assert probes.answer("readyz") == (200, "ok")
    probes.draining = True
    assert probes.answer("readyz") == (503, "the instance is stopping")
