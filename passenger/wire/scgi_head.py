"""An SCGI header block -> who asks for what, and the block that the application may see.

Rules.
1. Parsed exactly or rejected with ScgiError: the usual block passes through a handful of C-speed calls over the whole
   buffer; whatever trips one of those checks is walked parameter by parameter in `_explicit`. Names in an order that
   passed before are not checked again (`Shapes`), values always are.
2. Control parameters (SCGI, PASSENGER_*) never reach the application; nor do PATH_INFO and SCRIPT_NAME of the web
   server, which we derive ourselves (fact N12).
3. The body length is HTTP_CONTENT_LENGTH where it stands without HTTP_TRANSFER_ENCODING, else CONTENT_LENGTH; the first
   is never smaller than the second (fact N4).
4. Repeated request headers are joined (`Cookie` by "; ", others by ", "); where a second one would change the meaning
   the request is refused (fact N5). HTTP_PROXY, HTTP_TRANSFER_ENCODING, HTTP_EXPECT and the HTTP_ doubles of
   Content-Type and Content-Length are removed (fact N6, F2, F4).
5. Header names with anything but A-Z, 0-9 and `_` are dropped (F1), and so are the switches of Apache's own that it
   sends along (`no-gzip`, `downgrade-1.0`); any other such name is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hmac import compare_digest
from typing import Final

from passenger.wire.scgi import ScgiError

_NAME_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
_PREAMBLE: Final = (b"CONTENT_LENGTH", b"SCGI", b"PASSENGER_CONNECT_SECRET", b"PASSENGER_APP")
_PREAMBLE_SIZE: Final = sum(len(name) + 2 for name in _PREAMBLE)

REMOVED: Final = frozenset(
    {
        b"HTTP_PROXY",
        b"HTTP_TRANSFER_ENCODING",
        b"HTTP_EXPECT",
        b"HTTP_CONTENT_TYPE",
        b"HTTP_CONTENT_LENGTH",
        b"CONTENT_LENGTH",
        b"SCGI",
        b"PATH_INFO",
        b"SCRIPT_NAME",
    }
)
"""Names that never reach an application as they came."""

_NOT_AS_IS: Final = REMOVED - {b"CONTENT_LENGTH", b"SCGI"} | {b""}
"""Names whose presence sends a block through `_explicit`."""

_NEVER_TWICE: Final = frozenset(
    {b"HTTP_HOST", b"HTTP_CONTENT_TYPE", b"HTTP_CONTENT_LENGTH", b"HTTP_AUTHORIZATION", b"HTTP_TRANSFER_ENCODING"}
)
_MAX_BODY_DIGITS: Final = 18
_USUAL_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_SWITCH: Final = re.compile(rb"[a-z][a-z0-9_.-]*")
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")


class Head:
    """What a request head says. `block` is NAME NUL VALUE NUL ... for the application; `length` is that of the body."""

    __slots__ = ("app", "block", "length", "method", "uri")

    def __init__(self, app: bytes, length: int, method: bytes, uri: bytes, block: bytes) -> None:
        self.app = app
        self.length = length
        self.method = method
        self.uri = uri
        self.block = block


class Shapes:
    """Lists of parameter names that are the usual ones, each with the places of REQUEST_METHOD and REQUEST_URI.

    Browsers and tools send the same headers in the same order again and again. Bounded: clients choose the names.
    """

    MOST: Final = 512
    MOST_NAMES: Final = 64
    MOST_BYTES: Final = 2048

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[bytes, ...]]:
        return iter(self._known)

    def find(self, names: tuple[bytes, ...]) -> tuple[int, int] | None:
        """None = not the usual names: they are to be looked at one by one."""
        return self._known.get(names) or self._judge(names)

    def _judge(self, names: tuple[bytes, ...]) -> tuple[int, int] | None:
        letters = b"".join(names)
        usual = (
            names[:4] == _PREAMBLE
            and len(set(names)) == len(names)
            and _NOT_AS_IS.isdisjoint(names)
            and not letters.translate(None, _NAME_BYTES)
            and letters.count(b"PASSENGER_") == 2
            and b"REQUEST_METHOD" in names
            and b"REQUEST_URI" in names
        )
        if not usual:
            return None
        places = names.index(b"REQUEST_METHOD"), names.index(b"REQUEST_URI")
        if len(names) <= self.MOST_NAMES and len(letters) <= self.MOST_BYTES:
            if len(self._known) >= self.MOST:
                self._known.clear()
            self._known[names] = places
        return places


def parse_head(block: bytes, secret: bytes, shapes: Shapes) -> Head:
    """Read the inside of the netstring. Raises ScgiError, also for a wrong connect secret."""
    parts = block.split(b"\0")
    if parts.pop() or len(parts) & 1:
        raise ScgiError("the request head is not a list of name and value pairs")
    names = tuple(parts[::2])
    values = parts[1::2]
    places = shapes.find(names)
    if places is None:
        return _parse_unusual(names, values, block, secret)
    content_length, scgi, given, app = values[:4]
    _check_origin(given, scgi, block, secret)
    start = _PREAMBLE_SIZE + len(content_length) + len(scgi) + len(given) + len(app)
    return as_head(app, body_length(content_length), values[places[0]], values[places[1]], block[start:])


def _parse_unusual(names: tuple[bytes, ...], values: list[bytes], block: bytes, secret: bytes) -> Head:
    params = dict(zip(names, values, strict=True))
    _check_origin(params.get(b"PASSENGER_CONNECT_SECRET", b""), params.get(b"SCGI", b""), block, secret)
    params, length = _explicit(names, values)
    block = b"".join([b"%b\0%b\0" % pair for pair in params.items() if not _is_control(pair[0])])
    app, method, uri = (params.get(name, b"") for name in (b"PASSENGER_APP", b"REQUEST_METHOD", b"REQUEST_URI"))
    return as_head(app, length, method, uri, block)


def _check_origin(given: bytes, scgi: bytes, block: bytes, secret: bytes) -> None:
    if not compare_digest(given, secret):
        raise ScgiError("the connect secret is missing or wrong")
    if scgi != b"1":
        raise ScgiError("the request does not say SCGI 1")
    if b"\n" in block or b"\r" in block:
        raise ScgiError("a line break in the request head")


def as_head(app: bytes, length: int, method: bytes, uri: bytes, block: bytes) -> Head:
    """A Head whose method and URI were checked. Raises ScgiError."""
    if method not in _USUAL_METHODS and not _METHOD.fullmatch(method):
        raise ScgiError("the request method is missing or malformed")
    if not uri:
        raise ScgiError("the request has no URI")
    return Head(app, length, method, uri, block)


def body_length(value: bytes) -> int:
    """A Content-Length as a number: digits only, no leading zero, below 10^18. Raises ScgiError."""
    if not value.isdigit() or len(value) > _MAX_BODY_DIGITS or (value[0] == 0x30 and value != b"0"):
        raise ScgiError("a content length is not a plain number")
    return int(value)


def _explicit(names: tuple[bytes, ...], values: list[bytes]) -> tuple[dict[bytes, bytes], int]:
    """The parameters after every rule was applied one by one, and the length of the body."""
    if names[:1] != (b"CONTENT_LENGTH",):
        raise ScgiError("the first parameter is not CONTENT_LENGTH")
    params: dict[bytes, bytes] = {}
    for name, value in zip(names, values, strict=True):
        if name.translate(None, _NAME_BYTES) or not name:
            if not name.startswith(b"HTTP_") and not _SWITCH.fullmatch(name):
                raise ScgiError("a parameter has an empty or malformed name")
        elif name not in params:
            params[name] = value
        else:
            params[name] = joined(name, params[name], value)
    return params, _length_of(params)


def joined(name: bytes, first: bytes, second: bytes) -> bytes:
    """The values of a repeated header as one (rule 4). Raises ScgiError."""
    if not name.startswith(b"HTTP_") or name in _NEVER_TWICE:
        raise ScgiError("a parameter that must be unique is repeated")
    return first + (b"; " if name == b"HTTP_COOKIE" else b", ") + second


def _length_of(params: dict[bytes, bytes]) -> int:
    received = body_length(params[b"CONTENT_LENGTH"])
    announced = params.get(b"HTTP_CONTENT_LENGTH")
    if announced is None:
        return received
    if b"HTTP_TRANSFER_ENCODING" in params:
        raise ScgiError("the request has both a content length and a transfer encoding")
    length = body_length(announced)
    if received > length:
        raise ScgiError("the web server holds more body than the client announced")
    return length


def _is_control(name: bytes) -> bool:
    return name in REMOVED or name.startswith(b"PASSENGER_")
