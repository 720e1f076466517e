"""The default size of the pool."""

from __future__ import annotations

import pytest

from passenger.core.sizing import MEMORY_PER_PROCESS, pool_size

GIB = 1024**3


@pytest.mark.parametrize(
    ("cpus", "memory", "processes"),
    [
        (2, 24 * GIB, 6),
        (2, None, 6),
        (0.5, 8 * GIB, 3),
        (8, 8 * GIB, 18),
        (8, 512 * 1024**2, 4),
        (64, 1 * GIB, 8),
        (1, MEMORY_PER_PROCESS, 2),
        (1, 1, 2),
    ],
)
def test_pool_size(cpus: float, memory: int | None, processes: int) -> None:
    """CPUs ask, memory limits, two is the least."""
    assert pool_size(cpus=cpus, memory=memory) == processes
