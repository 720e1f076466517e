"""What is told about an instance: records, frozen, and their bytes between the core and UstRouter. Pure.

Two kinds of entry travel: requests, several packed in one go, because there may be thousands a second; and everything
else as JSON.

    packet:    header (pid of the core, records before this packet, wall and monotonic clock), then entries
    entry:     length of the rest (4 bytes), kind (1 byte), content
    requests:  their number (2 bytes), the numbers of each (`Row`), then their texts (TEXTS each), joined by NULs

Rules.
1. Redaction is done before anything is packed: no query string, no header value but the id of the request, of a path
   its digest unless the application's `telemetry.paths` says otherwise.
2. Times are packed as monotonic seconds; the header tells what the wall clock says, so a request costs no look at it.
3. A packet that is none is refused whole (`ValueError`).
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from passenger.lazy_dataclass import dataclass

HEADER: Final = struct.Struct("!IQdd")
_PREFIX: Final = struct.Struct("!IB")
_COUNT: Final = struct.Struct("!H")
_ROW: Final = "I3sBB?QQddddd"
_ROW_SIZE: Final = struct.calcsize(f"!{_ROW}")
_REQUESTS: Final = 1
_EVENT: Final = 2

Row = tuple[int, bytes, int, int, bool, int, int, float, float, float, float, float]
"""Of a request: pid, status (three digits, or none), place in ENDINGS, place in REFUSALS, whether the answer was ours,
bytes received and sent; times (monotonic seconds, 0.0 = never): arrived (0.0 = when it asked), asked, granted, served,
done."""
TEXTS: Final = 8
"""Of a request: application, path, ids, request id, a name, the web server's start, a name, method. The two names are
those of a request head, which has all from the id to the method in one piece. `ids` is `TRACE-SPAN-PARENT`, or empty:
then the trace is the id of the request, its span the second half of that, and there is no parent."""

ENDINGS: Final = ("", "answered", "departed", "cut")
"""By the numbers of `request.observed`."""
REFUSALS: Final = ("", "queue full", "spawn failed", "backing off", "stopping", "unknown app")
NO_SPAN: Final = "0" * 16
_START: Final = re.compile(r"t=(\d{1,12}(?:\.\d{1,6})?)")
_MOST_WAIT: Final = 3600.0
"""Seconds; a start longer ago is the mistake of a clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request. `arrived` is wall time; the others are seconds, None = it did not come to that."""

    id: str
    app: str
    pid: int
    method: str
    path: str
    status: int
    received: int
    sent: int
    ending: str
    refusal: str
    is_own: bool
    """The answer was ours."""
    arrived: float
    web_wait: float | None
    """From nginx's hands to ours."""
    queue_wait: float | None
    app_time: float | None
    """To the end of the response, or to the end of the request when nobody waited for that."""
    total: float
    trace_id: str
    span_id: str
    """That of the application's part: what the application was told as its parent."""
    parent_id: str
    """The client's, "" = none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """Anything else: `spawn`, `spawn_failed`, `exit`, `sample`, `restart`, `reload`, `refusals`."""

    kind: str
    app: str
    time: float
    facts: Mapping[str, Any]


Record = RequestRecord | EventRecord


@dataclass(frozen=True, slots=True)
class Packet:
    """What the core sends in one go."""

    core: int
    before: int
    """Records that this core has sent before."""
    records: tuple[Record, ...]


def pack_event(kind: str, app: str, time: float, facts: Mapping[str, Any]) -> bytes:
    """An entry; `time` is monotonic."""
    content = json.dumps([kind, app, time, dict(facts)], default=str).encode()
    return _PREFIX.pack(1 + len(content), _EVENT) + content


def pack_requests(count: int, numbers: Iterable[float | int | bytes], texts: list[bytes]) -> bytes:
    """An entry of that many requests: `numbers` are their Rows and `texts` their TEXTS, one after the other."""
    fixed = _rows(count).pack(*numbers)
    told = b"\0".join(texts)
    return _PREFIX.pack(1 + _COUNT.size + len(fixed) + len(told), _REQUESTS) + _COUNT.pack(count) + fixed + told


@cache
def _rows(count: int) -> struct.Struct:
    return struct.Struct("!" + _ROW * count)


def pack(core: int, before: int, wall: float, monotonic: float, entries: list[bytes]) -> bytes:
    """A packet."""
    return HEADER.pack(core, before, wall, monotonic) + b"".join(entries)


def unpack(data: bytes) -> Packet:
    """Raises ValueError."""
    try:
        core, before, wall, monotonic = HEADER.unpack_from(data)
        records: list[Record] = []
        at = HEADER.size
        while at < len(data):
            length, kind = _PREFIX.unpack_from(data, at)
            end = at + 4 + length
            if end > len(data) or length < 1:
                raise ValueError("an entry is longer than its packet")
            content = data[at + _PREFIX.size : end]
            if kind == _REQUESTS:
                records.extend(_requests(content, wall - monotonic))
            else:
                records.append(_event(content, wall - monotonic))
            at = end
    except (struct.error, IndexError, TypeError, KeyError) as error:
        raise ValueError(f"not a packet of the core: {error}") from error
    return Packet(core, before, tuple(records))


def _event(content: bytes, offset: float) -> EventRecord:
    kind, app, time, facts = json.loads(content)
    return EventRecord(kind=kind, app=app, time=time + offset, facts=facts)


def _requests(content: bytes, offset: float) -> Iterator[RequestRecord]:
    (count,) = _COUNT.unpack_from(content)
    texts_at = _COUNT.size + count * _ROW_SIZE
    texts = content[texts_at:].decode("utf-8", "replace").split("\0")
    if len(texts) != count * TEXTS:
        raise ValueError("the texts of its requests are not as many as they have to be")
    for number, row in enumerate(struct.iter_unpack(f"!{_ROW}", content[_COUNT.size : texts_at])):
        yield _request(row, texts[number * TEXTS : (number + 1) * TEXTS], offset)


def _request(row: tuple[Any, ...], texts: list[str], offset: float) -> RequestRecord:
    pid, status, ending, refusal, is_own, received, sent, arrived, asked, granted, served, done = row
    arrived = arrived or asked
    app, path, ids, request_id, _, start, _, method = texts
    trace, span, parent = ids.split("-") if ids else (request_id, request_id[16:], NO_SPAN)
    return RequestRecord(
        id=request_id,
        app=app,
        pid=pid,
        method=method,
        path=path,
        status=int(status.rstrip(b"\0") or 0),
        received=received,
        sent=sent,
        ending=ENDINGS[ending],
        refusal=REFUSALS[refusal],
        is_own=is_own,
        arrived=arrived + offset,
        web_wait=_web_wait(start, arrived + offset),
        queue_wait=(granted or done) - asked,
        app_time=(served or done) - granted if granted else None,
        total=done - arrived,
        trace_id=trace,
        span_id=span,
        parent_id="" if parent == NO_SPAN else parent,
    )


def _web_wait(start: str, arrived: float) -> float | None:
    """Between the web server's word (`t=SECONDS`, in whole milliseconds) and our clock."""
    found = _START.fullmatch(start)
    if found is None:
        return None
    waited = arrived - float(found[1])
    return max(0.0, waited) if waited < _MOST_WAIT else None
