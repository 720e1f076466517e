"""Keys of `[apps.NAME]` about restarts: how processes are replaced by new ones, and how long old ones may finish.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from passenger.config.app_program import AppProgram
from passenger.config.declare import key


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRestarts(AppProgram):
    """The way from old processes to new ones."""

    restart_method: str = key(
        "`rolling`: a new process is ready before an old one goes, and if one does not start the old ones stay. "
        "`blocking`: all old ones go at once, requests wait for the new ones.",
        default="rolling",
        choices=("rolling", "blocking"),
        reload="live",
    )
    max_surge: int = key(
        "Most processes that a rolling restart starts at the same time, beyond the limits. The first one always "
        "starts alone.",
        default=1,
        minimum=1,
        maximum=64,
        reload="live",
    )
    ready_when: str = key(
        "`first`: requests are served as soon as one process is ready. `min_instances`: after a start from nothing "
        "they wait until all of `min_instances` are, or one could not be started.",
        default="first",
        choices=("first", "min_instances"),
        reload="live",
    )
    drain_timeout: float = key(
        "A process that is replaced or stopped may finish its requests this long; then it gets SIGTERM, and after "
        "`shutdown_timeout` SIGKILL. `0s` = no limit.",
        default=600.0,
        unit="duration",
        reload="live",
    )
