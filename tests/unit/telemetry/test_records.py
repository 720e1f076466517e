"""Records between core and UstRouter: what goes in comes out, and nothing else gets through."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.telemetry.records import (
    HEADER,
    EventRecord,
    RequestRecord,
    pack,
    pack_event,
    pack_requests,
    unpack,
)
from passenger.telemetry.words import as_object

ID = b"a" * 16 + b"b" * 16
NAMES = (b"HTTP_X_REQUEST_START", b"REQUEST_METHOD")
START = b"t=999.500"
TIMES = (10.0, 10.0, 10.25, 10.75, 11.0)


def texts(path: bytes = b"/caf\xc3\xa9", *, ids: bytes = b"", id_: bytes = ID, start: bytes = START) -> list[bytes]:
    """As the core has them: the last piece is cut out of a request head."""
    return [b"blog", path, ids, b"\0".join((id_, NAMES[0], start, NAMES[1], b"GET"))]


def numbers(status: bytes = b"200", times: tuple[float, ...] = TIMES) -> list[float | int | bytes]:
    return [7, status, 1, 0, False, 3, 120, *times]


def entry(
    *, status: bytes = b"200", times: tuple[float, ...] = TIMES, of: list[bytes] | None = None, count: int = 1
) -> bytes:
    return pack_requests(count, numbers(status, times) * count, (of or texts()) * count)


def only(data: bytes, wall: float = 1000.0, monotonic: float = 10.0) -> RequestRecord:
    (record,) = unpack(pack(1, 0, wall, monotonic, [data])).records
    assert isinstance(record, RequestRecord)
    return record


def test_a_request_comes_out_as_it_went_in() -> None:
    record = only(entry())
    assert (record.app, record.pid, record.method, record.path, record.status) == ("blog", 7, "GET", "/café", 200)
    assert (record.received, record.sent, record.ending, record.refusal) == (3, 120, "answered", "")
    assert (record.arrived, record.web_wait, record.queue_wait, record.app_time, record.total) == (
        1000.0,
        0.5,
        0.25,
        0.5,
        1.0,
    )
    assert (record.id, record.trace_id, record.span_id, record.parent_id) == (ID.decode(), ID.decode(), "b" * 16, "")


def test_a_trace_of_somebody_else_is_told_beside_the_id() -> None:
    record = only(entry(of=texts(ids=b"%b-%b-%b" % (b"c" * 32, b"d" * 16, b"e" * 16), id_=b"")))
    assert (record.id, record.trace_id, record.span_id, record.parent_id) == ("", "c" * 32, "d" * 16, "e" * 16)


def test_several_in_one_entry_keep_their_order() -> None:
    data = pack_requests(2, numbers(b"201") + numbers(b""), texts(b"/1") + texts(b"/2", start=b""))
    first, second = unpack(pack(1, 0, 1000.0, 10.0, [data])).records
    assert isinstance(first, RequestRecord)
    assert isinstance(second, RequestRecord)
    assert (first.path, first.status, first.web_wait) == ("/1", 201, 0.5)
    assert (second.path, second.status, second.web_wait) == ("/2", 0, None)


def test_what_did_not_happen_has_no_time() -> None:
    """Refused in the queue, and left by its client while the application worked."""
    refused = only(entry(times=(10.0, 10.0, 0.0, 0.0, 10.5)))
    assert (refused.app_time, refused.queue_wait) == (None, 0.5)
    left = only(entry(times=(10.0, 10.0, 10.25, 0.0, 11.25), of=texts(b"", start=b"t=now")))
    assert (left.app_time, left.web_wait) == (1.0, None)
    assert "path" not in as_object(left, "main")


def test_clocks_that_disagree_make_no_wait_of_hours() -> None:
    assert only(entry(of=texts(start=b"t=1.0")), wall=90_000.0).web_wait is None
    assert only(entry(of=texts(start=b"t=1000.2"))).web_wait == 0.0


def test_events_travel_between_requests() -> None:
    data = pack(
        5,
        40,
        1000.0,
        10.0,
        [entry(), pack_event("exit", "blog", 12.0, {"reason": "exited"}), entry(status=b"503", count=3)],
    )
    packet = unpack(data)
    assert (packet.core, packet.before, len(packet.records)) == (5, 40, 5)
    event = packet.records[1]
    assert event == EventRecord(kind="exit", app="blog", time=1002.0, facts={"reason": "exited"})
    assert as_object(event, "main")["reason"] == "exited"


@given(st.binary(max_size=400))
def test_anything_else_is_refused_whole(junk: bytes) -> None:
    for data in (junk, pack(1, 0, 0.0, 0.0, [junk]), pack(1, 0, 0.0, 0.0, [entry() + junk])):
        try:
            unpack(data)
        except ValueError:
            continue
        assert len(data) >= HEADER.size


def test_an_entry_that_is_longer_than_its_packet_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        unpack(pack(1, 0, 0.0, 0.0, [struct.pack("!IB", 999, 2) + b"[]"]))
