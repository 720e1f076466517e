"""The part of the model about hooks: `[instances.NAME.hooks]`.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from passenger.config.declare import key
from passenger.lazy_dataclass import dataclass


def _command(when: str, example: list[str] | None = None) -> tuple[str, ...]:
    found: tuple[str, ...] = key(
        f"Program and arguments that are run {when}. Without any: nothing is run.",
        default=(),
        example=example or ["/usr/local/bin/tell-operators"],
        reload="live",
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """`[instances.NAME.hooks]`: programs that are run when something happens; see hooks.md."""

    attached_process: tuple[str, ...] = _command("when a process of an application begins to take requests")
    detached_process: tuple[str, ...] = _command("when a process has ended")
    spawn_failed: tuple[str, ...] = _command(
        "when a process could not be started", ["/bin/sh", "-c", 'logger "$PASSENGER_HOOK_APP: $PASSENGER_HOOK_REASON"']
    )
    queue_full: tuple[str, ...] = _command(
        "when requests are refused because the queue of an application is full, at most every 10 s"
    )
    max_request_time_reached: tuple[str, ...] = _command("when a request has run longer than `max_request_time`")
    after_reload: tuple[str, ...] = _command("when a reload was applied")
    timeout: float = key(
        "A hook that runs longer gets SIGTERM, and 5 s later SIGKILL, with all that it has started.",
        default=10.0,
        unit="duration",
        minimum=0.1,
        maximum=3600,
        reload="live",
    )


EVENTS: Final = tuple(declared.name for declared in fields(Hooks) if declared.name != "timeout")
