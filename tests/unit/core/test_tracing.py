"""Which trace a request belongs to, and what its application is told."""

from __future__ import annotations

import pytest

from passenger.core import tracing

ID = b"61bcf6b6d01beaa57a20c7e757327b9e"
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def head(*, parent: bytes = b"", trusted: bool = False, request_id: bytes = ID) -> bytes:
    pairs = {b"SCRIPT_NAME": b"", b"PATH_INFO": b"/", b"HTTP_X_REQUEST_ID": request_id}
    pairs |= {b"TRUSTED_PROXY": b"1"} if trusted else {}
    pairs |= {b"HTTP_TRACEPARENT": parent} if parent else {}
    return b"".join(b"%b\0%b\0" % pair for pair in {**pairs, b"LAST": b"1"}.items())


def begun(pairs: bytes, rate: float, chance: float) -> tracing.Trace | None:
    return tracing.begun(pairs, rate, lambda: chance)[0]


def told(pairs: bytes) -> bytes:
    return tracing.begun(pairs, 1.0, lambda: 0.5)[1]


def test_the_trace_is_the_id_of_the_request_and_the_span_is_new() -> None:
    one, other = begun(head(), 1.0, 0.5), begun(head(request_id=b"7" * 32), 1.0, 0.5)
    assert one is not None
    assert other is not None
    assert (one[0], one[2], one[3]) == (ID, b"0" * 16, ID)
    assert one[1] != other[1]
    assert told(head()).endswith(b"HTTP_TRACEPARENT\x0000-%b-%b-01\0" % (ID, one[1]))


@pytest.mark.parametrize("strange", [b"", b"0" * 32, b"other", ID.upper()])
def test_an_id_that_is_no_trace_gets_one_of_chance(strange: bytes) -> None:
    found = begun(head(request_id=strange), 1.0, 0.5)
    assert found is not None
    assert len(found[0]) == 32
    assert found[0] not in {strange, b"0" * 32}


def test_a_trusted_proxy_is_followed_and_nobody_else() -> None:
    trusted, stranger = (
        begun(head(parent=PARENT, trusted=True), 0.0, 0.5),
        begun(head(parent=PARENT), 1.0, 0.5),
    )
    assert trusted is not None
    assert stranger is not None
    assert (trusted[0], trusted[2]) == (PARENT[3:35], PARENT[36:52])
    assert (stranger[0], stranger[2]) == (ID, b"0" * 16)
    assert begun(head(parent=PARENT[:-1] + b"0", trusted=True), 1.0, 0.0) is None, "it has decided not to sample"
    whole = told(head(parent=PARENT))
    assert whole.count(b"HTTP_TRACEPARENT") == 1
    assert PARENT not in whole
    assert whole.endswith(b"LAST\x001\0")


@pytest.mark.parametrize(
    "bad",
    [
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        PARENT.replace(b"00-", b"ff-", 1),
        PARENT.upper(),
        b"x",
    ],
)
def test_a_malformed_parent_counts_as_none(bad: bytes) -> None:
    found = begun(head(parent=bad, trusted=True), 1.0, 0.5)
    assert found is not None
    assert found[0] == ID


def test_sampling_is_a_share() -> None:
    assert begun(head(), 0.1, 0.05) is not None
    assert begun(head(), 0.1, 0.1) is None
    assert begun(head(), 0.0, 0.0) is None
