"""Which trace a request belongs to, and what its application is told of it: W3C Trace Context, level 1. Pure.

Rules.
1. A `traceparent` is believed where the web server says that a trusted proxy sent the request (TRUSTED_PROXY, which no
   client can send). Its trace is continued, its word about sampling followed; a malformed one counts as none.
2. Else the trace has the id of the request, where that is 32 hexadecimal digits (nginx makes such ones), so that logs
   and traces meet; or an id of chance.
3. The application gets an id as parent that is new for every request: half of the request's, or one of chance.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import getrandbits
from typing import Final

_HEADER: Final = b"\0HTTP_TRACEPARENT\0"
_REQUEST_ID: Final = b"\0HTTP_X_REQUEST_ID\0"
_PARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_HEX: Final = b"0123456789abcdef"
_START_NAME: Final = b"HTTP_X_REQUEST_START"
_START: Final = b"\0%b\0" % _START_NAME
_ID_SIZE: Final = len(_REQUEST_ID)
_BOTH: Final = _ID_SIZE + 200
_NEW_HEADER: Final = _HEADER[1:] + b"00-"
_TRUSTED: Final = b"\0TRUSTED_PROXY\x001\0"
_NO_PARENT: Final = b"0" * 16
_SAMPLED: Final = 1


Trace = tuple[bytes, bytes, bytes, bytes, bytes]
"""(id, own span, parent span, id of the request, the web server's start): ids in hexadecimal digits, no parent = zeros.
A plain tuple, as one is made for every request."""


def value_at(pairs: bytes, name: bytes) -> bytes:
    """A value in a request head, by its name between two NULs; b"" = it is not there."""
    at = pairs.find(name)
    if at < 0:
        return b""
    start = at + len(name)
    return pairs[start : pairs.index(b"\0", start)]


def begun(pairs: bytes, rate: float, chance: Callable[[], float]) -> tuple[Trace | None, bytes]:
    """The trace of a request, None when it is not sampled; and the head with it, as the application may see it.

    `chance` gives numbers in [0, 1).
    """
    header = pairs.find(_HEADER)
    said = _said(pairs) if header >= 0 else None
    if said is not None and not int(said[3], 16) & _SAMPLED:
        return None, pairs
    if said is None and rate < 1.0 and rate <= chance():
        return None, pairs
    request_id, start = _request(pairs)
    if len(request_id) == 32 and not request_id.translate(None, _HEX) and request_id[16:] != _NO_PARENT:
        trace, span = request_id, request_id[16:]
    else:
        trace, span = b"%032x" % (getrandbits(128) | 1), b"%016x" % (getrandbits(64) | 1)
    parent = _NO_PARENT
    if said is not None:
        trace, parent = said[1], said[2]
    found = trace, span, parent, request_id, start
    if header < 0:
        return found, b"".join((pairs, _NEW_HEADER, trace, b"-", span, b"-01\0"))
    at = header + len(_HEADER)
    return found, b"".join((pairs[:at], b"00-", trace, b"-", span, b"-01", pairs[pairs.index(b"\0", at) :]))


def _said(pairs: bytes) -> re.Match[bytes] | None:
    return _PARENT.fullmatch(value_at(pairs, _HEADER)) if _TRUSTED in pairs else None


def _request(pairs: bytes) -> tuple[bytes, bytes]:
    """The id of a request and when the web server began with it: it sends the two together, and they are short."""
    at = pairs.find(_REQUEST_ID)
    if at < 0:
        return b"", value_at(pairs, _START)
    fields = pairs[at + _ID_SIZE : at + _BOTH].split(b"\0", 3)
    return fields[0], fields[2] if len(fields) > 2 and fields[1] == _START_NAME else value_at(pairs, _START)
