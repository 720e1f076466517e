"""HTTP/1.x response heads of applications: checked strictly, framed, cleaned for the web server.

Rules.
1. Accepted exactly or refused with BadResponse; the usual head passes through a few C-speed calls and is forwarded as
   received, anything unusual is rebuilt line by line.
2. CR, LF, NUL and other control bytes in a head, a malformed name or status, differing Content-Lengths, Content-Length
   beside Transfer-Encoding, or a transfer coding other than exactly `chunked` are refused (A11, F5).
3. 1xx heads are `interim`: skipped by the caller. 101 is refused: upgrades do not come this way.
4. Hop-by-hop headers, `Status`, `X-Accel-*`, `X-Sendfile`, `!~*` and `X-Passenger-Request-OOB-Work` never reach the
   web server (F6, N8).
5. `reusable` is true only where nothing about the head raises doubt about where the response ends.
"""

from __future__ import annotations

import re
from typing import Final

from passenger.errors import Fault, ProtocolError

MAX_HEAD: Final = 64 * 1024
END: Final = b"\r\n\r\n"

UNTIL_EOF: Final = -1
CHUNKED: Final = -2

_TEXT: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_NAME: Final = re.compile(rb"\n([!#$%&'*+\-.^_`|~0-9a-z]+):")
_FIELD: Final = re.compile(rb"([^:]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_WISHES: Final = frozenset({b"!~request-oob-work", b"x-passenger-request-oob-work"})
"""By which an application asks for out-of-band work."""
_REMOVED: Final = HOP_BY_HOP | {b"status", b"x-sendfile", b"x-passenger-request-oob-work"}
_MAX_LENGTH_DIGITS: Final = 18
_NODE: Final = b"\r\nConnection: keep-alive\r\n"
"""Node says it with every response; in HTTP/1.1 it means nothing, so without it the head is a usual one."""


class BadResponse(ProtocolError):  # noqa: N818 - the words of the status that the client gets
    """The application's bytes are no HTTP/1.x response that we forward."""

    fault = Fault.APP


class ResponseHead:
    """A checked head.

    `data` is what the web server gets, blank line included. `length` is the number of body bytes that follow on the
    application's connection, or UNTIL_EOF or CHUNKED.
    """

    __slots__ = ("data", "length", "reusable", "status", "wishes_errand")

    def __init__(self, *, status: int, data: bytes, length: int, reusable: bool, wishes_errand: bool = False) -> None:
        self.status = status
        self.data = data
        self.length = length
        self.reusable = reusable
        self.wishes_errand = wishes_errand

    @property
    def interim(self) -> bool:
        return self.status < 200


def head_end(data: bytes | bytearray) -> int:
    """Index behind the blank line, 0 while it is missing. Raises BadResponse for what can never become a head."""
    end = data.find(END)
    if end >= 0:
        if end > MAX_HEAD:
            raise BadResponse(f"the response head is longer than {MAX_HEAD} bytes")
        return end + 4
    if len(data) > MAX_HEAD:
        raise BadResponse(f"the response head is longer than {MAX_HEAD} bytes")
    if not data.startswith(b"HTTP/1.") and not b"HTTP/1.".startswith(bytes(data[:7])):
        raise BadResponse("the response does not begin with an HTTP/1.x status line")
    return 0


def parse_response_head(head: bytes, *, bodiless: bool) -> ResponseHead:
    """Read one head, blank line included. `bodiless` = the request was HEAD. Raises BadResponse."""
    if head[:7] != b"HTTP/1." or head[7:9] not in (b"1 ", b"0 ") or not head[9:12].isdigit() or head[12] not in b" \r":
        raise BadResponse("the response does not begin with an HTTP/1.x status line")
    if _NODE in head and head[7] == 0x31:
        head = head.replace(_NODE, b"\r\n", 1)
    status = int(head[9:12])
    if status < 100 or status == 101:
        raise BadResponse(f"the response has the status {status}")
    line_ends = head.translate(None, _TEXT)
    lines = head.count(b"\r\n")
    if line_ends != b"\r\n" * lines:
        raise BadResponse("a control byte in the response head")
    lower = head.lower()
    names = _NAME.findall(lower)
    if len(names) != lines - 2:
        raise BadResponse("a malformed header line in the response")
    usual = names.count(b"content-length") == 1 and _REMOVED.isdisjoint(names) and status >= 200 and status != 204
    if not usual or b"\nx-accel-" in lower or b"\n!~" in lower:
        return _explicit(head, status, bodiless=bodiless)
    at = lower.index(b"\ncontent-length:") + 16
    length = _length(head[at : head.index(b"\r", at)])
    if bodiless or status == 304:
        length = 0
    return ResponseHead(status=status, data=head, length=length, reusable=head[7] == 0x31)


def _explicit(head: bytes, status: int, *, bodiless: bool) -> ResponseHead:
    lines = head[:-4].split(b"\r\n")
    fields = [_field(line) for line in lines[1:]]
    lengths = {_length(value) for name, value in fields if name == b"content-length"}
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) > 1:
        raise BadResponse("the response has differing content lengths")
    if codings and (codings != [b"chunked"] or lengths or head[7] == 0x30):
        raise BadResponse("the response has an unknown transfer coding, or one beside a content length")
    length = _framing(status, lengths, chunked=bool(codings), bodiless=bodiless)
    options = {o.strip().lower() for name, value in fields if name == b"connection" for o in value.split(b",")}
    persistent = b"keep-alive" in options if head[7] == 0x30 else b"close" not in options
    kept = [lines[0]]
    has_length = False
    for line, (name, _) in zip(lines[1:], fields, strict=True):
        if _is_stripped(name) or name in options or (name == b"content-length" and (has_length or status == 204)):
            continue
        has_length = has_length or name == b"content-length"
        kept.append(line)
    data = b"\r\n".join(kept) + END
    return ResponseHead(
        status=status,
        data=data,
        length=length,
        reusable=persistent and length != UNTIL_EOF,
        wishes_errand=not _WISHES.isdisjoint(name for name, _ in fields),
    )


def _framing(status: int, lengths: set[int], *, chunked: bool, bodiless: bool) -> int:
    if bodiless or status < 200 or status in (204, 304):
        return 0
    if chunked:
        return CHUNKED
    return lengths.pop() if lengths else UNTIL_EOF


def _is_stripped(name: bytes) -> bool:
    return name in _REMOVED or name.startswith((b"x-accel-", b"!~"))


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise BadResponse("a malformed header line in the response")
    return match[1].lower(), match[2]


def _length(value: bytes) -> int:
    value = value.strip(b" \t")
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise BadResponse("the content length of the response is not a plain number")
    return int(value)
