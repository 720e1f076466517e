"""Keys of `[apps.NAME]` about its requests: who waits how long, and what is answered instead.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from passenger.config.app_processes import AppProcesses
from passenger.config.declare import key
from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)  # only a layer of App
class AppRequests(AppProcesses):
    """The queue, time limits and error pages."""

    max_request_queue_size: int = key(
        "Requests that may wait for a process; further ones are refused. 0 = no limit.",
        default=100,
        minimum=0,
        reload="live",
    )
    request_queue_overflow_status_code: int = key(
        "Status of a request that is refused because the queue is full.",
        default=503,
        minimum=400,
        maximum=599,
        reload="live",
        example=529,
    )
    max_request_queue_time: float = key(
        "A request that has waited this long for a process is refused. `0s` = no limit.",
        default=0.0,
        unit="duration",
        reload="live",
        example="30s",
    )
    request_queue_timeout_status_code: int = key(
        "Status of a request that has waited longer than `max_request_queue_time`.",
        default=504,
        minimum=400,
        maximum=599,
        reload="live",
        example=503,
    )
    max_request_time: float = key(
        "A request may run this long in a process. Then its client is answered 504 (or cut off, if the response has "
        "begun), and the request is ended: its task or thread is interrupted where that is possible, else the process "
        "is replaced. `0s` = no limit.",
        default=0.0,
        unit="duration",
        reload="live",
        example="60s",
    )
    response_timeout: float = key(
        "The application must begin its response within this time, else the client is answered 504; the application "
        "works on. `0s` = no limit.",
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
    spawn_exception_status_code: int = key(
        "Status of a request that cannot be answered because the application cannot be started.",
        default=500,
        minimum=400,
        maximum=599,
        reload="live",
        example=503,
    )
    custom_error_page: str | None = key(
        "HTML file that clients get instead of Passenger's own page for statuses from 500 on, unless errors are "
        "explained; relative to `app_root`. Read when the configuration is, as the application's user.",
        default=None,
        unit="path",
        reload="live",
        example="public/500.html",
    )
