"""Keys of `[apps.NAME]` about restarts: how processes are replaced by new ones, and how long old ones may finish.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from typing import Final

from passenger.config.app_program import AppProgram
from passenger.config.declare import key
from passenger.lazy_dataclass import dataclass

RESTART_DIR_PATTERN: Final = r"^/?(?!\.\.?(/|$))[^/\x00]+(/(?!\.\.?(/|$))[^/\x00]+)*$"
"""No part is `.` or `..`: what lies below `app_root` stays below it."""


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)  # only a layer of App
class AppRestarts(AppProgram):
    """The way from old processes to new ones."""

    restart_method: str = key(
        "`rolling`: a new process is ready before an old one goes, and if one does not start the old ones stay. "
        "`blocking`: all old ones go at once, requests wait for the new ones.",
        default="rolling",
        choices=("rolling", "blocking"),
        reload="live",
    )
    restart_dir: str = key(
        "Folder of `restart.txt` and `always_restart.txt`, absolute or below `app_root`. A new or changed "
        "`restart.txt` restarts the application; while `always_restart.txt` is there, each look at it does.",
        default="tmp",
        example="shared/tmp",
        pattern=RESTART_DIR_PATTERN,
        pattern_help="a folder such as `tmp` or `/srv/blog/shared/tmp`, without `..`",
        reload="live",
    )
    health_path: str | None = key(
        "A new process takes requests once GET of this path, asked over its own socket, was answered 200 to 399.",
        default=None,
        example="/healthz",
        pattern=r"^/[!-~]{0,1023}$",
        pattern_help="a path of the application that begins with `/`, such as `/healthz`",
        default_doc="a process that is ready takes requests",
        reload="live",
    )
    health_timeout: float = key(
        "A process that is not healthy within this time after it was ready has failed to start.",
        default=10.0,
        unit="duration",
        minimum=0.1,
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
