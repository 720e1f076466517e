"""One restart of an application, from the trigger to its result: what `status` shows and commands wait for.

running -> done, or failed: why. A failed one is not tried again until the next trigger.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from passenger.spawn.spawner import SpawnError

if TYPE_CHECKING:
    from passenger.pool.model import Group


class RestartState(enum.Enum):
    """`status` shows the values."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Restart:
    """The latest restart of a group.

    A rolling one replaces `total` processes one by one. A cold one has none to keep: they were withdrawn at once
    (`restart_method = "blocking"`), or none served.
    """

    __slots__ = (
        "began_at",
        "ended_at",
        "error",
        "generation",
        "is_cold",
        "method",
        "replaced",
        "state",
        "total",
        "why",
    )

    def __init__(self, *, method: str, why: str, generation: int, total: int, is_cold: bool, now: float) -> None:
        self.method = method
        self.why = why
        self.generation = generation
        self.total = total
        self.is_cold = is_cold
        self.began_at = now
        self.ended_at = now
        self.state = RestartState.RUNNING
        self.error: SpawnError | None = None
        """Why it failed."""
        self.replaced = 0
        """How many of `total` when it failed."""

    def is_running(self) -> bool:
        return self.state is RestartState.RUNNING

    def has_failed(self) -> bool:
        return self.state is RestartState.FAILED

    def end(self, now: float) -> None:
        self.state = RestartState.DONE
        self.error = None
        self.ended_at = now

    def fail(self, group: Group, error: SpawnError, now: float) -> None:
        self.replaced = self.done(group)
        self.state = RestartState.FAILED
        self.error = error
        self.ended_at = now

    def done(self, group: Group) -> int:
        """How many of `total` processes have been replaced."""
        if self.state is RestartState.DONE:
            return self.total
        if self.state is RestartState.FAILED:
            return self.replaced
        if self.is_cold:
            return min(self.total, group.enabled + len(group.aside))
        return 0 if group.fallback is not None else max(0, self.total - len(group.outdated))

    def __repr__(self) -> str:
        return f"<Restart {self.method} g{self.generation} {self.state.value}>"


def is_over(group: Group, room: int) -> bool:
    """Whether nothing is left to do for the restart that is running. `room` is that of the whole pool."""
    assert group.restart is not None
    if not group.restart.is_cold:
        return group.fallback is None and not group.outdated
    if group.enabled >= max(1, group.minimum):
        return True
    if group.spawning or (group.enabled and room > 0):
        return False
    return bool(group.enabled) or not (group.waiters or group.minimum)
