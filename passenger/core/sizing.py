"""How many application processes fit: the default of `max_pool_size`, a pure function of what the instance may use."""

from __future__ import annotations

from typing import Final

MEMORY_PER_PROCESS: Final = 128 * 1024 * 1024
"""Bytes set aside for one application process: a middle-sized Django or Flask process takes 40 to 120 MiB."""


def pool_size(*, cpus: float, memory: int | None) -> int:
    """Processes: two per CPU and two more (6 on 2 CPUs, Passenger's own default), as far as memory goes, at least 2.

    `cpus` may be a fraction (a cgroup's quota); `memory` is bytes, None = unknown.
    """
    by_cpu = round(2 * cpus) + 2
    by_memory = by_cpu if memory is None else memory // MEMORY_PER_PROCESS
    return max(2, min(by_cpu, by_memory))
