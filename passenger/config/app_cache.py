"""Keys of `[apps.NAME.cache]`: which responses of an application nginx keeps and gives away without asking again.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from typing import Final

from passenger.config.declare import key
from passenger.config.units import MIB
from passenger.lazy_dataclass import dataclass

ANY_COOKIE: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCache:
    """`[apps.NAME.cache]`: nginx's cache of responses."""

    enabled: bool = key(
        "Keep responses that say that they may be kept (`Cache-Control`, `Expires`), and answer with them. Responses "
        "with a cookie and those to requests with `Authorization` are never kept.",
        default=False,
        reload="live",
    )
    size: int = key(
        "Room on the disk; what was not asked for the longest goes first.",
        default=100 * MIB,
        unit="size",
        minimum=MIB,
        reload="live",
        example="1GiB",
    )
    max_age: float = key(
        "How long a response 200 or 301 is kept that says nothing about it. `0s` = it is not kept.",
        default=0.0,
        unit="duration",
        reload="live",
        example="10s",
    )
    stale: bool = key(
        "Answer with what is too old while a new response is being fetched, and as long as the application fails "
        "(500, 503, or no answer at all).",
        default=False,
        reload="live",
    )
    inactive: float = key(
        "What nobody asked for during this time goes, however long it was to be kept.",
        default=3600.0,
        unit="duration",
        minimum=1,
        reload="live",
    )
    min_uses: int = key(
        "A response is kept from so many requests for it on.", default=1, minimum=1, maximum=1_000_000, reload="live"
    )
    bypass_cookies: tuple[str, ...] = key(
        "Cookies that make a response somebody's own: a request that has one of them goes to the application, and the "
        "response is not kept. `*` at the end stands for the rest of a name, `*` alone for any cookie. None = cookies "
        "do not matter.",
        default=(ANY_COOKIE,),
        reload="live",
        example=["sessionid", "wordpress_logged_in_*"],
        pattern=r"^([A-Za-z0-9_.-]+\*?|\*)$",
        pattern_help="the name of a cookie (letters, digits, `_`, `.` and `-`), perhaps with `*` at its end",
    )
    folder: str | None = key(
        "Folder below which nginx makes the one of this cache. It must belong to the user who starts the instance, and "
        "nobody else may write to it.",
        default=None,
        unit="path",
        reload="live",
        example="/var/cache/passenger",
        default_doc="the instance directory: often in memory, and gone when the instance stops",
    )
