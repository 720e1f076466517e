"""Which trace a request belongs to, and what its application is told of it: W3C Trace Context, level 1. Pure.

Rules.
1. A `traceparent` is believed where the web server says that a trusted proxy sent the request (TRUSTED_PROXY, which no
   client can send). Its trace is continued, its word about sampling followed; a malformed one counts as none.
2. Else the trace has the id of the request, where that is 32 hexadecimal digits (nginx makes such ones), so that logs
   and traces meet; or an id of chance.
3. The application gets an id as parent that is new for every request: half of the request's, or one of chance.
4. The usual head is not searched, as that would cost more than all else here: our nginx says first what is needed, and
   where the method follows at once there is no `traceparent` (`webserver.scgi`, rule 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import getrandbits
from typing import Final

_ID: Final = b"\0HTTP_X_REQUEST_ID\0"
_ID_SIZE: Final = len(_ID)
_TO_METHOD: Final = 32 + len(b"\0HTTP_X_REQUEST_START\0t=1795364841.787")
"""From the id of a request to what follows the web server's start."""
_METHOD: Final = b"\0REQUEST_METHOD\0"
_IN_METHOD: Final = _TO_METHOD + len(_METHOD)
_UNSAID: Final = b"\0HTTP_X_REQUEST_START\0\0REQUEST_METHOD\0"
_NULS: Final = _UNSAID.count(b"\0")
_HEADER: Final = b"HTTP_TRACEPARENT"
_TOLD: Final = (b"HTTP_X_REQUEST_ID", b"HTTP_X_REQUEST_START", b"REQUEST_METHOD")
_PARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_HEX: Final = b"0123456789abcdef"
NO_PARENT: Final = b"0" * 16
_SAMPLED: Final = 1
_LONGEST: Final = 256
"""Bytes of an id, or a start, that somebody else made."""


Trace = tuple[int, bytes, bytes]
"""(place of the id, head, ids): `facts` reads the first two. A plain tuple, as one is made for every request.

`ids` is empty where the trace is the id of the request, else `TRACE-SPAN-PARENT` in hexadecimal digits.
"""


def begun(pairs: bytes, rate: float, chance: Callable[[], float]) -> tuple[Trace, bytes] | None:
    """The trace of a request, and its head with it, as the application may see it; None when it is not sampled.

    `chance` gives numbers in [0, 1).
    """
    at = pairs.find(_ID) + _ID_SIZE
    trace = pairs[at : at + 32]
    span = trace[16:]
    if not pairs.startswith(_METHOD, at + _TO_METHOD) or trace.translate(None, _HEX) or span == NO_PARENT:
        return _begun_elsewhere(pairs, rate, chance)
    if rate < 1.0 and rate <= chance():
        return None
    return (at, pairs, b""), b"".join((pairs, b"HTTP_TRACEPARENT\x0000-", trace, b"-", span, b"-01\0"))


def _begun_elsewhere(pairs: bytes, rate: float, chance: Callable[[], float]) -> tuple[Trace, bytes] | None:
    """The same of any head: that of Apache, of an upgrade, with a `traceparent` or with an id of somebody else's."""
    fields = pairs.split(b"\0")
    named = dict(zip(fields[:-1:2], fields[1::2], strict=True))
    said = _PARENT.fullmatch(named.get(_HEADER, b"")) if named.get(b"TRUSTED_PROXY") == b"1" else None
    if said is not None and not int(said[3], 16) & _SAMPLED:
        return None
    if said is None and rate < 1.0 and rate <= chance():
        return None
    trace = named.get(b"HTTP_X_REQUEST_ID", b"")
    span, parent = trace[16:], NO_PARENT
    if len(trace) != 32 or trace.translate(None, _HEX) or span == NO_PARENT:
        trace, span = b"%032x" % (getrandbits(128) | 1), b"%016x" % (getrandbits(64) | 1)
    if said is not None:
        trace, parent = said[1], said[2]
    path = b"\0".join(fields[:4])
    rest = b"\0".join([part for name in _TOLD for part in (name, named.get(name, b"")[:_LONGEST])])
    named[_HEADER] = b"00-%b-%b-01" % (trace, span)
    told = b"".join([b"%b\0%b\0" % pair for pair in named.items()])
    return (len(path) + _ID_SIZE, b"%b\0%b" % (path, rest), b"%b-%b-%b" % (trace, span, parent)), told


def facts(trace: Trace) -> tuple[bytes, bytes]:
    """The part of its head that says the path (`path_of`); all from the id of the request to its method.

    The latter is values and names, joined by NULs: always as many, also of a head that only looks like nginx's.
    """
    at, head, ids = trace
    told = head[at : len(head) if ids else head.index(b"\0", at + _IN_METHOD)]
    return head[:at], told if told.count(b"\0") == _NULS else told[:32] + _UNSAID


def path_of(part: bytes) -> bytes:
    """The path of a request, of that part of its head."""
    _, script_name, _, path_info, _ = part.split(b"\0", 4)
    return script_name + path_info
