"""Responses of applications: cleaned exactly or refused, however they arrive."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passenger.wire.chunked import ChunkedDecoder
from passenger.wire.http1 import CHUNKED, MAX_HEAD, UNTIL_EOF, BadResponse, head_end, parse_response_head
from passenger.wire.response import MAX_INTERIM, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines]) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "length", "reusable", "forwarded"),
    [
        (head(b"Content-Length: 5"), 5, True, None),
        (head(b"content-length:5"), 5, True, None),
        (head(b"X: y", b"Content-Length:   5  ", b"Z:"), 5, True, None),
        (head(b"Content-Length: 5", status=b"HTTP/1.0 200 OK"), 5, False, None),
        (head(b"Content-Length: 5", status=b"HTTP/1.1 200"), 5, True, None),
        (head(b"Content-Length: 5", b"X: \xe4\t\xff"), 5, True, None),
        (head(), UNTIL_EOF, False, head()),
        (head(b"Content-Length: 5", b"Content-Length: 5"), 5, True, head(b"Content-Length: 5")),
        (head(b"Transfer-Encoding: chunked"), CHUNKED, True, head()),
        (head(b"Transfer-Encoding:  CHUNKED "), CHUNKED, True, head()),
        (head(b"Connection: close", b"Content-Length: 1"), 1, False, head(b"Content-Length: 1")),
        (head(b"Connection: keep-alive, X-Y", b"X-Y: 1", b"Content-Length: 1"), 1, True, head(b"Content-Length: 1")),
        (
            head(b"Connection: keep-alive", b"Content-Length: 1", status=b"HTTP/1.0 200 OK"),
            1,
            True,
            head(b"Content-Length: 1", status=b"HTTP/1.0 200 OK"),
        ),
        (
            head(b"Keep-Alive: 5", b"TE: x", b"Trailer: y", b"Upgrade: z", b"Proxy-Connection: w"),
            UNTIL_EOF,
            False,
            head(),
        ),
        (head(b"Status: 200 OK", b"Content-Length: 1"), 1, True, head(b"Content-Length: 1")),
        (head(b"X-Accel-Redirect: /secret", b"Content-Length: 1"), 1, True, head(b"Content-Length: 1")),
        (head(b"x-accel-expires: 1", b"Content-Length: 1"), 1, True, head(b"Content-Length: 1")),
        (head(b"X-Sendfile: /etc/passwd", b"Content-Length: 1"), 1, True, head(b"Content-Length: 1")),
        (head(b"!~Request-OOB-Work: 1", b"Content-Length: 1"), 1, True, head(b"Content-Length: 1")),
        (head(b"Set-Cookie: a", b"Set-Cookie: b", b"Content-Length: 1"), 1, True, None),
        (head(b"Content-Length: 5", status=b"HTTP/1.1 304 Not Modified"), 0, True, None),
        (
            head(b"Content-Length: 5", status=b"HTTP/1.1 204 No Content"),
            0,
            True,
            head(status=b"HTTP/1.1 204 No Content"),
        ),
        (head(status=b"HTTP/1.1 204 No Content"), 0, True, None),
        (
            head(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 304 Not Modified"),
            0,
            True,
            head(status=b"HTTP/1.1 304 Not Modified"),
        ),
    ],
)
def test_heads(*, data: bytes, length: int, reusable: bool, forwarded: bytes | None) -> None:
    """Framing, whether the connection can be used again, and what goes on to the web server."""
    parsed = parse_response_head(data, bodiless=False)
    assert (parsed.length, parsed.reusable) == (length, reusable)
    assert parsed.data == (data if forwarded is None else forwarded)


def test_head_of_a_head_request_has_no_body() -> None:
    assert parse_response_head(head(b"Content-Length: 5"), bodiless=True).length == 0
    assert parse_response_head(head(b"Transfer-Encoding: chunked"), bodiless=True).length == 0
    assert parse_response_head(head(), bodiless=True).length == 0


@pytest.mark.parametrize(
    "data",
    [
        head(status=b"HTTP/2 200 OK"),
        head(status=b"HTTP/1.2 200 OK"),
        head(status=b"HTTP/1.1  200 OK"),
        head(status=b"HTTP/1.1 20 OK"),
        head(status=b"HTTP/1.1 2000 OK"),
        head(status=b"HTTP/1.1 099 OK"),
        head(status=b"HTTP/1.1 101 Switching"),
        head(status=b"HTTP/1.1 abc OK"),
        head(status=b"HTTP/1.1 200 O\0K"),
        head(status=b"Status: 200 OK"),
        head(b"Content-Length: 1", b"Content-Length: 2"),
        head(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        head(b"Transfer-Encoding: gzip, chunked"),
        head(b"Transfer-Encoding: identity"),
        head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK"),
        *[
            head(b"Content-Length: " + value)
            for value in (b"", b"-1", b"+1", b"1 1", b"0x1", b"1,1", b"9" * 19, b"1_0", b"\xb2")
        ],
        head(b"X: a\rb"),
        head(b"X: a\nb"),
        head(b"X: a\n\rb"),
        head(b"X: a\0b"),
        head(b"X: a\x7fb"),
        head(b"X : a"),
        head(b" X: a"),
        head(b"X: a", b" folded"),
        head(b"X"),
        head(b": a"),
        head(b"X\xe4: a"),
        head(b"X(: a"),
    ],
)
def test_illegal_heads_are_refused(data: bytes) -> None:
    with pytest.raises(BadResponse):
        parse_response_head(data, bodiless=False)


@pytest.mark.parametrize(
    "data", [b"x", b"HTTP/2", b"\r\n", b"http/1.1", OK + b"X" * MAX_HEAD, OK + b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n"]
)
def test_what_can_never_become_a_head_is_refused_early(data: bytes) -> None:
    with pytest.raises(BadResponse):
        head_end(data)


@pytest.mark.parametrize("data", [b"", b"H", b"HTTP/1.", OK, OK + b"\r"])
def test_head_end_waits(data: bytes) -> None:
    assert head_end(data) == 0


CHUNKS = [
    (b"0\r\n\r\n", b""),
    (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    (b"a;x=y\r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
    (b"1 ;x\r\na\r\n0\r\nTrailer: x\r\nY:\r\n\r\n", b"a"),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
]


@pytest.mark.parametrize(("coded", "body"), CHUNKS)
def test_chunks_decode_whole_and_byte_by_byte(coded: bytes, body: bytes) -> None:
    whole = ChunkedDecoder()
    assert whole.feed(coded) == body
    assert whole.finished
    assert not whole.surplus
    single = ChunkedDecoder()
    assert b"".join(single.feed(coded[at : at + 1]) for at in range(len(coded))) == body
    assert single.finished


@pytest.mark.parametrize(
    "coded",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1\n",
        b"1\ra\n",
        b"1\r\nab",
        b"1\r\na\n",
        b"1\r\na\rb",
        b"1" * 16 + b"\r\n",
        b"1;\0\r\n",
        b"1;\r\r\n",
        b"1;" + b"x" * 300 + b"\r\n",
        b"1;" + b"x" * 300,
        b"0\r\nno colon\r\n",
        b"0\r\n folded: x\r\n",
        b"0\r\n" + b"X: y\r\n" * 5000,
        b"0\r\n" + b"X" * 9000,
        (b"1;" + b"x" * 200 + b"\r\na\r\n") * 100,
    ],
)
def test_malformed_chunks_are_refused(coded: bytes) -> None:
    with pytest.raises(BadResponse):
        ChunkedDecoder().feed(coded)


def test_bytes_behind_the_last_chunk_are_surplus() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK") == b"a"
    assert decoder.surplus


@pytest.mark.parametrize("piece", [7, 1000, 1_000_000])
def test_many_tiny_chunks_take_linear_time(piece: int) -> None:
    """F26: 100,000 chunks of one byte."""
    coded = b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n"
    decoder = ChunkedDecoder()
    began = process_time()
    size = sum(len(decoder.feed(coded[at : at + piece])) for at in range(0, len(coded), piece))
    assert size == 100_000
    assert decoder.finished
    assert process_time() - began < 2.0


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=8), st.data())
def test_chunked_coding_is_inverted(pieces: list[bytes], data: st.DataObject) -> None:
    """Whatever the cuts of the stream."""
    coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    cut = data.draw(st.integers(0, len(coded)))
    decoder = ChunkedDecoder()
    assert decoder.feed(coded[:cut]) + decoder.feed(coded[cut:]) == b"".join(pieces)
    assert decoder.finished


@given(st.binary(max_size=60), st.integers(0, 60))
def test_the_decoder_raises_nothing_else_and_does_not_depend_on_cuts(data: bytes, cut: int) -> None:
    def outcome(*parts: bytes) -> tuple[bytes, bool] | str:
        decoder = ChunkedDecoder()
        try:
            body = b"".join(decoder.feed(part) for part in parts)
        except BadResponse:
            return "refused"
        return body, decoder.finished

    assert outcome(data) == outcome(data[:cut], data[cut:])


def _read(reader: ResponseReader, data: bytes, size: int) -> bytes:
    return b"".join(reader.feed(data[at : at + size]) for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize(
    ("data", "out"),
    [
        (head(b"Content-Length: 3") + b"abc", head(b"Content-Length: 3") + b"abc"),
        (head(b"Content-Length: 0"), head(b"Content-Length: 0")),
        (head(b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n", head() + b"abc"),
        (
            head(status=b"HTTP/1.1 103 Early Hints") + head(b"Content-Length: 1") + b"x",
            head(b"Content-Length: 1") + b"x",
        ),
        (head(b"Content-Length: 4", status=b"HTTP/1.1 304 N"), head(b"Content-Length: 4", status=b"HTTP/1.1 304 N")),
    ],
)
def test_responses_are_whole_exactly_at_their_end(data: bytes, out: bytes, size: int) -> None:
    early = ResponseReader()
    _read(early, data[:-1], size)
    assert not early.complete
    reader = ResponseReader()
    assert _read(reader, data, size) == out
    assert reader.complete
    assert reader.reusable
    assert not reader.surplus


def test_surplus_is_dropped_and_told() -> None:
    reader = ResponseReader()
    assert reader.feed(head(b"Content-Length: 2") + b"abevil") == head(b"Content-Length: 2") + b"ab"
    assert reader.complete
    assert reader.surplus
    reader.reset(bodiless=True)
    assert reader.feed(head(b"Content-Length: 2") + b"ab") == head(b"Content-Length: 2")
    assert reader.surplus


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (head() + b"abc", True),
        (b"", False),
        (OK, False),
        (head(b"Content-Length: 2") + b"a", False),
        (head(b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n", False),
    ],
)
def test_end_of_stream_completes_only_what_has_no_other_end(*, data: bytes, whole: bool) -> None:
    reader = ResponseReader()
    reader.feed(data)
    assert not reader.complete
    assert reader.ended() is whole


def test_interim_responses_are_bounded() -> None:
    reader = ResponseReader()
    with pytest.raises(BadResponse):
        reader.feed(head(status=b"HTTP/1.1 100 Continue") * (MAX_INTERIM + 1))


@settings(max_examples=300)
@given(data=st.binary(max_size=80), cut=st.integers(0, 200), bodiless=st.booleans())
def test_the_reader_raises_nothing_else_and_does_not_depend_on_cuts(*, data: bytes, cut: int, bodiless: bool) -> None:
    """Random bytes behind a plausible beginning."""

    def outcome(*parts: bytes) -> tuple[bytes, bool] | str:
        reader = ResponseReader()
        reader.reset(bodiless=bodiless)
        try:
            out = b"".join(reader.feed(part) for part in parts)
        except BadResponse:
            return "refused"
        return out, reader.complete

    whole = OK + data
    assert outcome(whole) == outcome(whole[:cut], whole[cut:])


def test_a_head_of_any_bytes_is_read_in_linear_time() -> None:
    """F26: also when it never ends and comes in small pieces."""
    for filler in (b"\r\n", b"a:", b"a: b\r\n", b" ", b"\r\nx-accel-:"):
        data = OK + filler * (MAX_HEAD // len(filler))
        reader = ResponseReader()
        began = process_time()
        try:
            _read(reader, data, 512)
        except BadResponse:
            assert not reader.begun
        assert process_time() - began < 1.0
