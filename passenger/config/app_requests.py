"""Keys of `[apps.NAME]` about its requests: who waits how long, and what is answered instead.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from passenger.config.app_processes import AppProcesses
from passenger.config.declare import key


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRequests(AppProcesses):
    """The queue, time limits and error pages."""

    max_request_queue_size: int = key(
        "Requests that may wait for a process; further ones are answered 503. 0 = no limit.",
        default=100,
        minimum=0,
        reload="live",
    )
    response_timeout: float = key(
        "The application must begin its response within this time, else the client is answered 504. `0s` = no limit.",
        default=600.0,
        unit="duration",
        reload="live",
    )
    websocket_idle_timeout: float = key(
        "A WebSocket over which nothing was sent in either direction for this long is closed with 1001; pings count. "
        "Connections upgraded to other protocols are cut. `0s` = no limit.",
        default=3600.0,
        unit="duration",
        reload="live",
    )
    friendly_error_pages: bool | None = key(
        "Show clients what went wrong when the application cannot be started.",
        example=False,
        default=None,
        reload="live",
        default_doc="on when `app_env` is `development`",
    )
