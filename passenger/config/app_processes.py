"""Keys of `[apps.NAME]` about its processes: how they start and end, how many there are.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from passenger.config.app_restarts import AppRestarts
from passenger.config.declare import key
from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)  # only a layer of App
class AppProcesses(AppRestarts):
    """How many processes, started and stopped how."""

    spawn_method: str | None = key(
        "How processes are started. `smart`: a preloader loads the application once and forks, which is fast and "
        "shares memory. `direct`: each one from scratch.",
        default=None,
        choices=("smart", "direct"),
        example="direct",
        default_doc="`smart` where there is a preloader for the kind of application",
    )
    max_preloader_idle_time: float = key(
        "A preloader that was not needed for this long is stopped, and started again when it is needed. `0s` = never.",
        default=300.0,
        unit="duration",
        reload="live",
    )
    load_shell_envvars: bool = key(
        "Start the application through the login shell of its user, so that its profile sets variables.", default=False
    )
    start_timeout: float = key(
        "A process must be ready within this time.", default=90.0, unit="duration", minimum=0.1, reload="live"
    )
    shutdown_timeout: float = key(
        "A process that was told to stop gets this long before it is killed.",
        default=60.0,
        unit="duration",
        minimum=0.1,
        reload="live",
    )
    min_instances: int = key(
        "Processes that are started at once and kept while idle.", default=1, minimum=0, reload="live"
    )
    max_instances: int | None = key(
        "Most processes of this application.",
        default=None,
        minimum=1,
        reload="live",
        example=4,
        default_doc="`max_pool_size`",
    )
    thread_count: int = key(
        "Requests that one process of a WSGI or Rack application handles at the same time, in threads.",
        default=1,
        minimum=1,
        maximum=1024,
    )
    force_max_concurrent_requests_per_process: int | None = key(
        "Requests that one process of a type that speaks HTTP gets at the same time; further processes are started for "
        "more. 0 = no limit.",
        default=None,
        minimum=0,
        maximum=1_000_000,
        example=50,
        default_doc="no limit; what a loader of others announces",
    )
