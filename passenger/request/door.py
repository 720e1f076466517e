"""What is special about the requests of an application: looked at where there is anything, and only there. Pure.

`Route.door` is None for an application that uses none of this, so that its requests pay for one comparison.
"""

from __future__ import annotations

from typing import Final

from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.request.gate import Gate

_SECURE: Final = "; Secure"


@dataclass(frozen=True, slots=True)
class RouteCookie:
    """The cookie of sticky sessions: it names the process that has served its client before."""

    name: bytes
    path: str
    attributes: str

    def read(self, pairs: bytes) -> tuple[str, ...]:
        """Every value of this cookie in a request head: a client may have several, of different paths."""
        fields = pairs.split(b"\0")
        found = []
        for place in range(0, len(fields) - 1, 2):
            if fields[place] == b"HTTP_COOKIE":
                crumbs = (crumb.strip().partition(b"=") for crumb in fields[place + 1].split(b";"))
                found += [value.strip(b'"').decode("latin-1") for name, _, value in crumbs if name == self.name]
        return tuple(found)

    def line(self, value: str, *, is_secure: bool) -> bytes:
        """The header of a response that sets it."""
        attributes = f"; {self.attributes}" if self.attributes else ""
        if is_secure and "secure" not in {word.strip().lower() for word in self.attributes.split(";")}:
            attributes += _SECURE
        return b"Set-Cookie: %b=%b\r\n" % (self.name, f"{value}; Path={self.path}{attributes}".encode())


@dataclass(frozen=True, slots=True)
class Door:
    """See above."""

    gate: Gate | None
    """Not None while it is closed."""
    cookie: RouteCookie | None
    """Not None = sticky sessions."""
    unlimited: tuple[bytes, ...]
    """Paths whose requests take no place in a process."""
    tells_queue_time: bool
    most_held: int
    """Requests that a pause holds; 0 = no limit."""

    def is_unlimited(self, pairs: bytes) -> bool:
        """Whether the path, or a part of it that ends at a `/`, is one of `unlimited`."""
        path = pairs.split(b"\0", 4)[3]
        return any(path == prefix or path.startswith(prefix + b"/") for prefix in self.unlimited)


def door_of(app: App, gate: Gate | None) -> Door | None:
    """None when nothing is special."""
    unlimited = tuple(path.rstrip("/").encode() for path in app.unlimited_concurrency_paths)
    if gate is None and not app.sticky_sessions and not unlimited and not app.queue_time_header:
        return None
    cookie = (
        RouteCookie(
            app.sticky_sessions_cookie_name.encode(), app.base_uri, app.sticky_sessions_cookie_attributes.strip("; ")
        )
        if app.sticky_sessions
        else None
    )
    return Door(gate, cookie, unlimited, app.queue_time_header, app.max_request_queue_size)


def value_of(pairs: bytes, name: bytes) -> bytes:
    """The first value of a name in a request head; b"" when it has none."""
    fields = pairs.split(b"\0")
    names = fields[:-1:2]
    return fields[2 * names.index(name) + 1] if name in names else b""


def is_secure(pairs: bytes) -> bool:
    """Whether the client came over HTTPS, as the web server knows it."""
    return value_of(pairs, b"REQUEST_SCHEME") == b"https" or value_of(pairs, b"HTTPS") == b"on"
