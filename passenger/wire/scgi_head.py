"""An SCGI header block -> who asks for what, and the block that the application may see.

Rules.
1. Parsed exactly or rejected with ScgiError: the usual block passes through a handful of C-speed calls over the whole
   buffer; whatever trips one of those checks is walked parameter by parameter in `_explicit`.
2. Control parameters (SCGI, PASSENGER_*) never reach the application; nor do PATH_INFO and SCRIPT_NAME of the web
   server, which we derive ourselves (fact N12).
3. The body length is HTTP_CONTENT_LENGTH where it stands without HTTP_TRANSFER_ENCODING, else CONTENT_LENGTH; the first
   is never smaller than the second (fact N4).
4. Repeated request headers are joined (`Cookie` by "; ", others by ", "); where a second one would change the meaning
   the request is refused (fact N5). HTTP_PROXY, HTTP_TRANSFER_ENCODING, HTTP_EXPECT and the HTTP_ doubles of
   Content-Type and Content-Length are removed (fact N6, F2, F4).
5. Header names with anything but A-Z, 0-9 and `_` are dropped (F1); any other such name is an error.
"""

from __future__ import annotations

import re
from hmac import compare_digest
from typing import Final

from passenger.wire.scgi import ScgiError

_NAME_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
_PREAMBLE: Final = [b"CONTENT_LENGTH", b"SCGI", b"PASSENGER_CONNECT_SECRET", b"PASSENGER_APP"]
_PREAMBLE_SIZE: Final = sum(len(name) + 2 for name in _PREAMBLE)

_REMOVED: Final = frozenset(
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
_NOT_AS_IS: Final = _REMOVED - {b"CONTENT_LENGTH", b"SCGI"} | {b""}
"""Names whose presence sends a block through `_explicit`."""

_NEVER_TWICE: Final = frozenset(
    {b"HTTP_HOST", b"HTTP_CONTENT_TYPE", b"HTTP_CONTENT_LENGTH", b"HTTP_AUTHORIZATION", b"HTTP_TRANSFER_ENCODING"}
)
_MAX_BODY_DIGITS: Final = 18
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")


class Head:
    """What a request head says. `block` is NAME NUL VALUE NUL ... for the application; `length` is that of the body."""

    __slots__ = ("app", "block", "length", "method", "uri")

    def __init__(self, *, app: bytes, length: int, method: bytes, uri: bytes, block: bytes) -> None:
        self.app = app
        self.length = length
        self.method = method
        self.uri = uri
        self.block = block


def parse_head(block: bytes, secret: bytes) -> Head:
    """Read the inside of the netstring. Raises ScgiError, also for a wrong connect secret."""
    parts = block.split(b"\0")
    if parts.pop() or len(parts) & 1:
        raise ScgiError("the request head is not a list of name and value pairs")
    names = parts[::2]
    params = dict(zip(names, parts[1::2], strict=True))
    if not compare_digest(params.get(b"PASSENGER_CONNECT_SECRET", b""), secret):
        raise ScgiError("the connect secret is missing or wrong")
    if params.get(b"SCGI") != b"1":
        raise ScgiError("the request does not say SCGI 1")
    if b"\n" in block or b"\r" in block:
        raise ScgiError("a line break in the request head")
    usual = (
        names[:4] == _PREAMBLE
        and len(params) == len(names)
        and _NOT_AS_IS.isdisjoint(params)
        and not b"".join(names).translate(None, _NAME_BYTES)
        and block.count(b"PASSENGER_") == 2
    )
    if usual:
        length = body_length(params[b"CONTENT_LENGTH"])
        start = _PREAMBLE_SIZE + sum(map(len, parts[1:8:2]))
        block = block[start:]
    else:
        params, length = _explicit(names, parts[1::2])
        block = b"".join([b"%b\0%b\0" % pair for pair in params.items() if not _is_control(pair[0])])
    method = params.get(b"REQUEST_METHOD", b"")
    uri = params.get(b"REQUEST_URI", b"")
    if not _METHOD.fullmatch(method):
        raise ScgiError("the request method is missing or malformed")
    if not uri:
        raise ScgiError("the request has no URI")
    app = params.get(b"PASSENGER_APP", b"")
    return Head(app=app, length=length, method=method, uri=uri, block=block)


def body_length(value: bytes) -> int:
    """A Content-Length as a number: digits only, no leading zero, below 10^18. Raises ScgiError."""
    if not value.isdigit() or len(value) > _MAX_BODY_DIGITS or (value[0] == 0x30 and value != b"0"):
        raise ScgiError("a content length is not a plain number")
    return int(value)


def _explicit(names: list[bytes], values: list[bytes]) -> tuple[dict[bytes, bytes], int]:
    """The parameters after every rule was applied one by one, and the length of the body."""
    if names[0] != b"CONTENT_LENGTH":
        raise ScgiError("the first parameter is not CONTENT_LENGTH")
    params: dict[bytes, bytes] = {}
    for name, value in zip(names, values, strict=True):
        if name.translate(None, _NAME_BYTES) or not name:
            if not name.startswith(b"HTTP_"):
                raise ScgiError("a parameter has an empty or malformed name")
        elif name not in params:
            params[name] = value
        else:
            params[name] = _joined(name, params[name], value)
    return params, _length_of(params)


def _joined(name: bytes, first: bytes, second: bytes) -> bytes:
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
    return name in _REMOVED or name.startswith(b"PASSENGER_")
