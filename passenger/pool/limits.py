"""The pool's own limits, apart from those of each application."""

from __future__ import annotations

from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """What bounds all applications together."""

    max_pool_size: int
    pool_idle_time: float
    """Seconds; 0 = idle processes are never stopped."""
    max_parallel_spawns: int
