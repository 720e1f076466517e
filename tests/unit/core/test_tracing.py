"""Which trace a request belongs to, and what its application is told."""

from __future__ import annotations

import pytest

from passenger.core import tracing

ID = b"61bcf6b6d01beaa57a20c7e757327b9e"
START = b"t=1795364841.787"
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def head(*, parent: bytes = b"", trusted: bool = False, request_id: bytes = ID) -> bytes:
    pairs = {b"SCRIPT_NAME": b"/shop", b"PATH_INFO": b"/", b"HTTP_X_REQUEST_ID": request_id}
    pairs |= {b"HTTP_X_REQUEST_START": START} | ({b"HTTP_TRACEPARENT": parent} if parent else {})
    pairs |= {b"REQUEST_METHOD": b"GET"} | ({b"TRUSTED_PROXY": b"1"} if trusted else {})
    return b"".join(b"%b\0%b\0" % pair for pair in {**pairs, b"LAST": b"1"}.items())


def ids(found: tracing.Trace) -> list[bytes]:
    """Trace, span, parent: what UstRouter makes of it."""
    told = tracing.facts(found)[1][:32]
    return found[2].split(b"-") if found[2] else [told, told[16:], b"0" * 16]


def facts(found: tracing.Trace) -> tuple[bytes, bytes, bytes, bytes]:
    """Path, id, start, method."""
    path, told = tracing.facts(found)
    request_id, _, start, _, method = told.split(b"\0")
    return tracing.path_of(path), request_id, start, method


def begun(pairs: bytes, rate: float, chance: float) -> tracing.Trace | None:
    found = tracing.begun(pairs, rate, lambda: chance)
    return None if found is None else found[0]


def told(pairs: bytes) -> bytes:
    found = tracing.begun(pairs, 1.0, lambda: 0.5)
    assert found is not None
    return found[1]


def test_the_trace_is_the_id_of_the_request_and_the_span_is_new() -> None:
    one, other = begun(head(), 1.0, 0.5), begun(head(request_id=b"7" * 32), 1.0, 0.5)
    assert one is not None
    assert other is not None
    assert ids(one) == [ID, ID[16:], b"0" * 16]
    assert facts(one) == (b"/shop/", ID, START, b"GET")
    assert ids(one)[1] != ids(other)[1]
    assert told(head()).endswith(b"HTTP_TRACEPARENT\x0000-%b-%b-01\0" % (ID, ids(one)[1]))


@pytest.mark.parametrize("strange", [b"", b"0" * 32, b"other", ID.upper()])
def test_an_id_that_is_no_trace_gets_one_of_chance(strange: bytes) -> None:
    found = begun(head(request_id=strange), 1.0, 0.5)
    assert found is not None
    assert len(ids(found)[0]) == 32
    assert ids(found)[0] not in {strange, b"0" * 32}
    assert facts(found)[1] == strange


def test_a_trusted_proxy_is_followed_and_nobody_else() -> None:
    trusted, stranger = (
        begun(head(parent=PARENT, trusted=True), 0.0, 0.5),
        begun(head(parent=PARENT), 1.0, 0.5),
    )
    assert trusted is not None
    assert stranger is not None
    assert (ids(trusted)[0], ids(trusted)[2]) == (PARENT[3:35], PARENT[36:52])
    assert (ids(stranger)[0], ids(stranger)[2]) == (ID, b"0" * 16)
    assert begun(head(parent=PARENT[:-1] + b"0", trusted=True), 1.0, 0.0) is None, "it has decided not to sample"
    whole = told(head(parent=PARENT))
    assert whole.count(b"HTTP_TRACEPARENT") == 1
    assert PARENT not in whole


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
    assert ids(found)[0] == ID


def test_sampling_is_a_share() -> None:
    assert begun(head(), 0.1, 0.05) is not None
    assert begun(head(), 0.1, 0.1) is None
    assert begun(head(), 0.0, 0.0) is None


def test_a_head_in_another_order_says_the_same() -> None:
    """That of Apache, or of an nginx configuration that somebody keeps."""
    named = dict(zip(*[iter(head().split(b"\0")[:-1])] * 2, strict=True))
    first = {name: named[name] for name in (b"SCRIPT_NAME", b"PATH_INFO")}
    other = b"".join(b"%b\0%b\0" % pair for pair in {**first, **dict(reversed(named.items()))}.items())
    usual, found = begun(head(), 1.0, 0.5), begun(other, 1.0, 0.5)
    assert usual is not None
    assert found is not None
    assert ids(found) == ids(usual)
    assert facts(found) == facts(usual)


def test_a_request_with_a_body_says_the_same() -> None:
    with_body = head().replace(b"PATH_INFO\0/\0", b"PATH_INFO\0/\0CONTENT_LENGTH\x0012\0")
    found = begun(with_body, 1.0, 0.5)
    assert found is not None
    assert facts(found) == (b"/shop/", ID, START, b"GET")


def test_a_head_that_only_looks_like_the_usual_one_breaks_no_other() -> None:
    """Requests are packed together: one with more texts than it has to have would cost all of them."""
    usual = b"\0HTTP_X_REQUEST_START\0" + START
    found = begun(head().replace(usual, b"\0A\0b\0" + b"C" * (len(usual) - 6) + b"\0"), 1.0, 0.5)
    assert found is not None
    assert facts(found) == (b"/shop/", ID, b"", b"")


def test_what_somebody_else_made_is_cut() -> None:
    found = begun(head(request_id=b"i" * 5000), 1.0, 0.5)
    assert found is not None
    assert facts(found)[1:] == (b"i" * 256, START, b"GET")


def test_a_value_that_reads_like_a_name_is_a_value() -> None:
    sly = head(trusted=True) + b"HTTP_X_A\0HTTP_TRACEPARENT\0HTTP_X_B\0" + PARENT + b"\0"
    whole = told(sly)
    assert whole.startswith(sly)
    assert whole.endswith(b"HTTP_TRACEPARENT\x0000-%b-%b-01\0" % (ID, ID[16:]))
