"""nginx's own cache in front of an application: `[apps.NAME.cache]`.

Rules.
1. An entry's key holds everything of a request that the application might put into a response and that it cannot vary
   by: scheme, method, port, host as the client wrote it, and the whole URI. The parts cannot be taken for each other,
   because at most one of them can hold a space. `Vary` is nginx's business.
2. HEAD has entries of its own: the core's answer to it has no body.
3. Whose response might be somebody's own is neither taken from the cache nor put into it: `Authorization`, and the
   cookies of `bypass_cookies`. nginx itself never keeps a response with `Set-Cookie`.
4. One zone and one folder per application. The zone's name holds its place: nginx refuses to move a zone by a reload.
5. A response that was cut is never kept: the reset that tells nginx of it (`request.abort`) ends the entry as well.
6. Looked-up files are cached elsewhere for a second; not here, so that a purge counts at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from passenger.config.app_cache import ANY_COOKIE, AppCache
from passenger.config.model import App, InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.webserver.scgi import Hop, on, seconds_text
from passenger.webserver.tree import Directive, Expression, Fixed, UnrenderableValueError, block, directive, nginx_quote

KEYS_ZONE: Final = "8m"
"""Memory for about 64,000 entries; when it is full the oldest go."""

STATUS_HEADER: Final = "X-Cache"

_KEPT_BY_DEFAULT: Final = ("200", "301")
_FAILURES: Final = ("error", "timeout", "invalid_header", "updating", "http_500", "http_503")
"""nginx knows no others for SCGI: a 502 or 504 of the core passes."""
_COOKIE: Final = re.compile(r"[A-Za-z0-9_.-]+\*?|\*")


def folder(paths: InstancePaths, instance: str, name: str, cache: AppCache) -> str:
    """Where the entries of an application are; nginx makes this last folder, and it belongs to its workers."""
    if cache.folder is None:
        return f"{paths.nginx}/cache_{name}"
    return f"{cache.folder.rstrip('/')}/{instance}.{name}"


def in_http(config: InstanceConfig, paths: InstancePaths) -> list[Directive]:
    """What stands once beside the servers."""
    found = []
    for name, app in cached(config).items():
        place = folder(paths, config.name, name, app.cache)
        found.append(_path(place, _zone(config.name, name, place), app.cache))
        if patterns := _cookie_patterns(name, app.cache.bypass_cookies):
            answers = [directive("default", ""), *(directive(_quoted(text), "1") for text in patterns)]
            found.append(block("map", Expression("$http_cookie"), Expression(_own(config.name, name)), body=answers))
    return found


def in_app(config: InstanceConfig, paths: InstancePaths, name: str, hop: Hop) -> list[Directive]:
    """What the location that hands requests to the application says; nothing without a cache."""
    cache = config.apps[name].cache
    if not cache.enabled:
        return []
    own = [Expression("$http_authorization")]
    own += [Expression(_own(config.name, name))] if cache.bypass_cookies else []
    client = hop.client
    key = f"{client.scheme} $request_method {client.port} $host {client.host} $request_uri"
    return [
        directive("scgi_cache", Fixed(_zone(config.name, name, folder(paths, config.name, name, cache)))),
        directive("scgi_cache_key", Expression(key)),
        directive("scgi_cache_bypass", *own),
        directive("scgi_no_cache", *own),
        directive("scgi_cache_min_uses", str(cache.min_uses)),
        directive("scgi_cache_revalidate", on(True)),
        *([directive("scgi_cache_valid", *_KEPT_BY_DEFAULT, seconds_text(cache.max_age))] if cache.max_age else []),
        directive("scgi_cache_use_stale", *(_FAILURES if cache.stale else ("off",))),
        directive("scgi_cache_background_update", on(cache.stale)),
        directive("open_file_cache", "off"),
        *(_told() if config.instance.nginx.mode == "managed" else ()),
    ]


def cached(config: InstanceConfig) -> dict[str, App]:
    """The applications with a cache."""
    return {name: app for name, app in config.apps.items() if app.cache.enabled}


def _told() -> list[Directive]:
    """Tell clients where a response came from. Not in somebody else's nginx, whose own `add_header` it would end."""
    return [
        directive("scgi_hide_header", STATUS_HEADER),
        directive("add_header", STATUS_HEADER, Expression("$upstream_cache_status"), "always"),
    ]


def _path(place: str, zone: str, cache: AppCache) -> Directive:
    return directive(
        "scgi_cache_path",
        Fixed(place),
        "levels=1:2",
        Fixed(f"keys_zone={zone}:{KEYS_ZONE}"),
        f"max_size={cache.size}",
        f"inactive={seconds_text(cache.inactive)}",
        "use_temp_path=off",
    )


def _zone(instance: str, name: str, place: str) -> str:
    """A name that no other application of any instance of the same nginx has: neither part can hold a slash."""
    return f"passenger/{instance}/{name}/{crc32(place.encode()):08x}"


def _own(instance: str, name: str) -> str:
    """The variable that says whether a request has one of the cookies."""
    own = re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found.group()):02x}", f"{instance}/{name}")
    return f"$passenger_own_{own}"


def _cookie_patterns(name: str, cookies: Sequence[str]) -> list[str]:
    for cookie in cookies:
        if not _COOKIE.fullmatch(cookie):
            raise UnrenderableValueError(
                f"apps.{name}.cache.bypass_cookies: {cookie!r} is not the name of a cookie",
                hint="use letters, digits, `_`, `.` and `-`, perhaps with `*` at the end",
            )
    if ANY_COOKIE in cookies:
        return ["~."]
    return [rf"~(?:^|[;,])[ \t]*{_pattern(cookie)}[ \t]*=" for cookie in cookies]


def _pattern(cookie: str) -> str:
    literal = re.escape(cookie.removesuffix("*"))
    return literal + (r"[^;,=]*" if cookie.endswith("*") else "")


def _quoted(text: str) -> str:
    return nginx_quote(Expression(text))
