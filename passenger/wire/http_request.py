"""A request head for a process that speaks HTTP/1.1 (`http_session`), made from the pairs of the session protocol.

Rules.
1. Our own framing only: one Content-Length, or none where there is no body; never a client's Transfer-Encoding,
   Connection, Keep-Alive, TE, Trailer, Upgrade, Expect or Proxy-* (fault matrix F5).
2. Who the client is comes from the web server's own parameters: X-Forwarded-*, Forwarded (RFC 7239) and X-Real-IP of
   the client are replaced, never extended (F9).
3. The request target is the client's own, in origin form, base URI included (protocols 4.2).
4. The same header names in the same order were worked out before: only values are put together then.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from passenger.wire.scgi import ScgiError

_DROPPED: Final = frozenset(
    {
        b"HTTP_CONNECTION",
        b"HTTP_EXPECT",
        b"HTTP_FORWARDED",
        b"HTTP_HOST",
        b"HTTP_KEEP_ALIVE",
        b"HTTP_PROXY",
        b"HTTP_PROXY_AUTHENTICATE",
        b"HTTP_PROXY_AUTHORIZATION",
        b"HTTP_PROXY_CONNECTION",
        b"HTTP_TE",
        b"HTTP_TRAILER",
        b"HTTP_TRANSFER_ENCODING",
        b"HTTP_UPGRADE",
        b"HTTP_X_FORWARDED_FOR",
        b"HTTP_X_FORWARDED_HOST",
        b"HTTP_X_FORWARDED_PORT",
        b"HTTP_X_FORWARDED_PREFIX",
        b"HTTP_X_FORWARDED_PROTO",
        b"HTTP_X_FORWARDED_SSL",
        b"HTTP_X_REAL_IP",
    }
)
_NEEDED: Final = (b"REQUEST_METHOD", b"REQUEST_URI", b"REMOTE_ADDR")
_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
MOST: Final = 512
MOST_NAMES: Final = 64


class _Shape(NamedTuple):
    """Where things are in a list of values, and which of them are passed on under which name."""

    method: int
    uri: int
    address: int
    host: int
    server: int
    port: int
    scheme: int
    length: int
    passed: tuple[tuple[int, bytes], ...]


class RequestHeads:
    """Makes heads; remembers the shapes it has met. Bounded: clients choose the names."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[bytes, ...], _Shape] = {}

    def head(self, pairs: bytes, upgrade: bytes = b"") -> bytes:
        """The whole head, with the empty line; `upgrade` = the protocol to ask for.

        Raises ScgiError for pairs without method, URI or address.
        """
        parts = pairs.split(b"\0")
        names, values = tuple(parts[:-1:2]), parts[1::2]
        shape = self._shapes.get(names) or self._learn(names)
        values.append(b"")  # what is not there is read at index -1
        method, address = values[shape.method], values[shape.address]
        host = values[shape.host] or values[shape.server]
        scheme = values[shape.scheme] or b"http"
        lines = [b"%b %b HTTP/1.1\r\nhost: %b" % (method, _target(values[shape.uri]), host)]
        lines += [name + values[place] for place, name in shape.passed]
        if shape.length >= 0:
            lines.append(b"content-length: " + values[shape.length])
        elif method in _WITH_BODY:
            lines.append(b"content-length: 0")
        if upgrade:
            lines.append(b"connection: upgrade\r\nupgrade: " + upgrade)
        lines.append(
            b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-host: %b\r\nx-forwarded-port: %b\r\n"
            b"forwarded: for=%b;host=%b;proto=%b\r\n\r\n"
            % (address, scheme, host, values[shape.port], _node(address), _quoted(host), scheme)
        )
        return b"\r\n".join(lines)

    def _learn(self, names: tuple[bytes, ...]) -> _Shape:
        for needed in _NEEDED:
            if needed not in names:
                raise ScgiError(f"the request has no {needed.decode()}")

        def place(name: bytes) -> int:
            return names.index(name) if name in names else -1

        passed = [(number, _header(name)) for number, name in enumerate(names) if _is_passed(name)]
        shape = _Shape(
            method=place(b"REQUEST_METHOD"),
            uri=place(b"REQUEST_URI"),
            address=place(b"REMOTE_ADDR"),
            host=place(b"HTTP_HOST"),
            server=place(b"SERVER_NAME"),
            port=place(b"SERVER_PORT"),
            scheme=place(b"REQUEST_SCHEME"),
            length=place(b"CONTENT_LENGTH"),
            passed=tuple(passed),
        )
        if len(names) <= MOST_NAMES:
            if len(self._shapes) >= MOST:
                self._shapes.clear()
            self._shapes[names] = shape
        return shape


def _is_passed(name: bytes) -> bool:
    return name == b"CONTENT_TYPE" or (name.startswith(b"HTTP_") and name not in _DROPPED)


def _header(name: bytes) -> bytes:
    return name.removeprefix(b"HTTP_").replace(b"_", b"-").lower() + b": "


def _target(uri: bytes) -> bytes:
    if uri[:1] == b"/" or uri == b"*":
        return uri
    absolute = _ABSOLUTE.match(uri)
    rest = uri[absolute.end() :] if absolute else uri
    return rest if rest[:1] == b"/" else b"/" + rest


def _node(address: bytes) -> bytes:
    """RFC 7239 section 6: an IPv6 address stands in brackets and quotes."""
    return b'"[%b]"' % address if b":" in address else address or b"unknown"


def _quoted(text: bytes) -> bytes:
    """RFC 7239 section 4: a quoted-string."""
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
