"""Keys of `[apps.NAME]` about which process gets a request, and what it does between requests.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from typing import Final

from passenger.config.app_limits import AppLimits
from passenger.config.declare import key
from passenger.lazy_dataclass import dataclass

COOKIE_NAME_PATTERN: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$"
ATTRIBUTES_PATTERN: Final = r"^[A-Za-z0-9=;./ -]{0,200}$"
PATH_PATTERN: Final = r"^/[!-~]{0,1023}$"


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)  # only a layer of App
class AppSessions(AppLimits):
    """Sticky sessions, requests that take no place, out-of-band work."""

    sticky_sessions: bool = key(
        "A client is served by the process that has served it before, as long as that lives: for applications that "
        "keep state of clients in memory. A cookie tells which one it was.",
        default=False,
        reload="live",
    )
    sticky_sessions_cookie_name: str = key(
        "Name of the cookie of `sticky_sessions`.",
        default="_passenger_route",
        pattern=COOKIE_NAME_PATTERN,
        pattern_help="letters, digits, `_`, `-` and `.`",
        reload="live",
    )
    sticky_sessions_cookie_attributes: str = key(
        "Attributes of the cookie of `sticky_sessions`, besides `Path` (which is `base_uri`). `Secure` is added for "
        "clients that came over HTTPS.",
        default="HttpOnly; SameSite=Lax",
        pattern=ATTRIBUTES_PATTERN,
        pattern_help="attributes such as `SameSite=Strict; Max-Age=3600`",
        reload="live",
    )
    unlimited_concurrency_paths: tuple[str, ...] = key(
        "Paths below `base_uri` whose requests take no place in a process: they neither wait for a free one nor keep "
        "others waiting. For long polls and event streams that cost the process next to nothing. `/events` also means "
        "`/events/...`.",
        default=(),
        example=["/events"],
        pattern=PATH_PATTERN,
        pattern_help="a path that begins with `/`, such as `/events`",
        reload="live",
    )
    max_out_of_band_work_instances: int = key(
        "Processes that may do out-of-band work at a time, when they have asked for it with a response. 0 = none.",
        default=1,
        minimum=0,
        maximum=1000,
        reload="live",
    )
    out_of_band_work_timeout: float = key(
        "A process takes requests again when its out-of-band work takes longer than this.",
        default=60.0,
        unit="duration",
        minimum=0.1,
        reload="live",
    )
    queue_time_header: bool = key(
        "The application gets a header `X-Queue-Time`: milliseconds that the request has waited for a process.",
        default=False,
        reload="live",
    )
