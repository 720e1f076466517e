"""SCGI: parsed exactly or rejected."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from passenger.wire.scgi import NEED_MORE, ScgiError, extent
from passenger.wire.scgi_head import Head, Shapes, body_length, parse_head
from passenger.wire.session import framed, request_head

SECRET = b"0123456789abcdef"
BASE: list[tuple[bytes, bytes]] = [
    (b"CONTENT_LENGTH", b"0"),
    (b"SCGI", b"1"),
    (b"PASSENGER_CONNECT_SECRET", SECRET),
    (b"PASSENGER_APP", b"blog"),
    (b"REQUEST_METHOD", b"GET"),
    (b"REQUEST_URI", b"/"),
]
CAP = 1000


def encode(pairs: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b\0%b\0" % pair for pair in pairs)


def decode(block: bytes) -> dict[bytes, bytes]:
    parts = block.split(b"\0")
    assert parts.pop() == b""
    result = dict(zip(parts[::2], parts[1::2], strict=True))
    assert len(result) * 2 == len(parts)
    return result


def with_params(*more: tuple[bytes, bytes], **replaced: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, replaced.pop(name.decode(), value)) for name, value in BASE] + list(more)


def without(name: bytes) -> list[tuple[bytes, bytes]]:
    return [pair for pair in BASE if pair[0] != name]


@pytest.mark.parametrize("data", [b"", b"1", b"12", b"999999999"])
def test_extent_waits_for_the_colon(data: bytes) -> None:
    assert extent(data, CAP) == NEED_MORE


@pytest.mark.parametrize(("data", "expected"), [(b"5:", (2, 8)), (b"10:abc", (3, 14)), (b"1000:", (5, 1006))])
def test_extent_is_known_from_the_prefix_alone(data: bytes, expected: tuple[int, int]) -> None:
    assert extent(data, CAP) == expected


@pytest.mark.parametrize(
    "data",
    [
        b":",
        b"0:",
        b"00:",
        b"05:",
        b"-5:",
        b"+5:",
        b" 5:",
        b"5 :",
        b"5\n:",
        b"5_0:",
        b"0x5:",
        b"5a:",
        b"a",
        b"1001:",
        b"1234567890",
        b"99999999999:",
        b"\xb2:",
        "\u0665:".encode(),
        b"GET / HTTP/1.1",
        b"\0",
        b",",
    ],
)
def test_extent_refuses(data: bytes) -> None:
    """Lengths that are none, or beyond the cap."""
    with pytest.raises(ScgiError):
        extent(data, CAP)


@given(st.binary(max_size=40))
def test_extent_is_the_same_for_every_way_of_arriving(data: bytes) -> None:
    """The first prefix that decides says what the whole says."""

    def outcome(prefix: bytes) -> tuple[int, int] | str:
        try:
            return extent(prefix, CAP)
        except ScgiError:
            return "refused"

    decided = [result for at in range(len(data) + 1) if (result := outcome(data[:at])) != NEED_MORE]
    assert len(set(decided)) <= 1
    assert outcome(data) == (decided[0] if decided else NEED_MORE)


def test_usual_head_passes_as_received() -> None:
    more = [(b"HTTP_HOST", b"x"), (b"HTTP_COOKIE", b"a=1"), (b"HTTP_X_EMPTY", b"")]
    head = parse_head(encode(with_params(*more)), SECRET, Shapes())
    assert (head.app, head.length, head.method, head.uri) == (b"blog", 0, b"GET", b"/")
    assert head.block == encode([*BASE[4:], *more])


@pytest.mark.parametrize(
    "pairs",
    [
        with_params(PASSENGER_CONNECT_SECRET=b"wrong"),
        with_params(PASSENGER_CONNECT_SECRET=b""),
        with_params(PASSENGER_CONNECT_SECRET=SECRET + b"x"),
        with_params(PASSENGER_CONNECT_SECRET=b"\xff" * 16),
        with_params(SCGI=b"0"),
        with_params(SCGI=b""),
        with_params(SCGI=b"11"),
        *[
            without(name)
            for name in (b"CONTENT_LENGTH", b"SCGI", b"PASSENGER_CONNECT_SECRET", b"REQUEST_METHOD", b"REQUEST_URI")
        ],
        BASE[1:] + BASE[:1],
        *[
            with_params(CONTENT_LENGTH=v)
            for v in (b"", b"-1", b"+1", b" 1", b"1 ", b"01", b"00", b"0x1", b"1_0", b"1.0", b"9" * 19, b"\xb2")
        ],
        *[
            with_params((name, b"x"), (name, b"x"))
            for name in (b"HTTP_HOST", b"HTTP_AUTHORIZATION", b"QUERY_STRING", b"REMOTE_ADDR")
        ],
        *[
            with_params((name, b"1"), (name, b"1"))
            for name in (b"HTTP_CONTENT_LENGTH", b"HTTP_CONTENT_TYPE", b"HTTP_TRANSFER_ENCODING")
        ],
        *[with_params(pair) for pair in BASE],
        with_params((b"", b"x")),
        with_params((b"", b"")),
        with_params((b"lOwer", b"x")),
        with_params((b"-lower", b"x")),
        with_params((b"X-Y", b"x")),
        with_params((b"X Y", b"x")),
        with_params((b"\xc4", b"x")),
        with_params((b"HTTP_X", b"a\nb")),
        with_params((b"HTTP_X", b"a\rb")),
        with_params((b"HTTP_\nX", b"a")),
        with_params((b"HTTP_CONTENT_LENGTH", b"3"), CONTENT_LENGTH=b"4"),
        with_params((b"HTTP_CONTENT_LENGTH", b""), CONTENT_LENGTH=b"0"),
        with_params((b"HTTP_CONTENT_LENGTH", b"1, 1"), CONTENT_LENGTH=b"0"),
        with_params((b"HTTP_CONTENT_LENGTH", b"3"), (b"HTTP_TRANSFER_ENCODING", b"chunked")),
        with_params(REQUEST_METHOD=b""),
        with_params(REQUEST_METHOD=b"G T"),
        with_params(REQUEST_METHOD=b"G" * 65),
        with_params(REQUEST_METHOD=b"GET\x7f"),
        with_params(REQUEST_URI=b""),
        [],
    ],
)
def test_parse_head_refuses(pairs: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ScgiError):
        parse_head(encode(pairs), SECRET, Shapes())


def test_switches_of_apache_reach_nobody() -> None:
    head = parse_head(encode(with_params((b"no-gzip", b"1"), (b"downgrade-1.0", b"1"))), SECRET, Shapes())
    assert b"no-gzip" not in head.block
    assert b"downgrade" not in head.block


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_parse_head_refuses_what_is_no_list_of_pairs(cut: int) -> None:
    with pytest.raises(ScgiError):
        parse_head(encode(BASE)[:-cut], SECRET, Shapes())
    with pytest.raises(ScgiError):
        parse_head(encode(BASE) + b"ODD\0", SECRET, Shapes())


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([(b"HTTP_PROXY", b"evil")], {}),
        ([(b"HTTP_EXPECT", b"100-continue")], {}),
        ([(b"HTTP_TRANSFER_ENCODING", b"chunked")], {}),
        ([(b"HTTP_CONTENT_TYPE", b"x/y")], {}),
        ([(b"PATH_INFO", b"/x"), (b"SCRIPT_NAME", b"/y")], {}),
        ([(b"PASSENGER_CONNECT_PASSWORD", b"forged"), (b"PASSENGER_X", b"1")], {}),
        ([(b"HTTP_X.Y", b"1"), (b"HTTP_x", b"1"), (b"HTTP_\xc4", b"1")], {}),
        ([(b"HTTP_COOKIE", b"a=1"), (b"HTTP_COOKIE", b"b=2")], {b"HTTP_COOKIE": b"a=1; b=2"}),
        (
            [(b"HTTP_ACCEPT", b"a"), (b"HTTP_X", b"0"), (b"HTTP_ACCEPT", b"b")],
            {b"HTTP_ACCEPT": b"a, b", b"HTTP_X": b"0"},
        ),
        ([(b"HTTP_X", b"1"), (b"HTTP_X", b""), (b"HTTP_X", b"3")], {b"HTTP_X": b"1, , 3"}),
        (
            [(b"HTTP_SCRIPT_NAME", b"/x"), (b"HTTP_PASSENGER_X", b"1")],
            {b"HTTP_SCRIPT_NAME": b"/x", b"HTTP_PASSENGER_X": b"1"},
        ),
        ([(b"HTTP_X", b"PASSENGER_APP")], {b"HTTP_X": b"PASSENGER_APP"}),
    ],
)
def test_what_the_application_may_see(more: list[tuple[bytes, bytes]], expected: dict[bytes, bytes]) -> None:
    block = decode(parse_head(encode(with_params(*more)), SECRET, Shapes()).block)
    assert block == {b"REQUEST_METHOD": b"GET", b"REQUEST_URI": b"/"} | expected


@pytest.mark.parametrize(
    ("received", "more", "length"),
    [
        (b"7", [], 7),
        (b"0", [(b"HTTP_CONTENT_LENGTH", b"10")], 10),
        (b"3", [(b"HTTP_CONTENT_LENGTH", b"10")], 10),
        (b"10", [(b"HTTP_CONTENT_LENGTH", b"10")], 10),
        (b"10", [(b"HTTP_TRANSFER_ENCODING", b"chunked")], 10),
    ],
)
def test_body_length_follows_fact_n4(received: bytes, more: list[tuple[bytes, bytes]], length: int) -> None:
    assert parse_head(encode(with_params(*more, CONTENT_LENGTH=received)), SECRET, Shapes()).length == length


def test_any_order_behind_content_length_is_understood() -> None:
    head = parse_head(encode([BASE[0], *reversed(BASE[1:])]), SECRET, Shapes())
    assert decode(head.block) == {b"REQUEST_METHOD": b"GET", b"REQUEST_URI": b"/"}
    assert head.app == b"blog"


names = st.one_of(
    st.sampled_from(
        [name for name, _ in BASE]
        + [
            b"",
            b"HTTP_HOST",
            b"HTTP_COOKIE",
            b"HTTP_PROXY",
            b"HTTP_CONTENT_LENGTH",
            b"PATH_INFO",
            b"PASSENGER_X",
            b"HTTP_X",
        ]
    ),
    st.from_regex(rb"(HTTP_)?[A-Za-z0-9_.-]{0,4}", fullmatch=True),
)
values = st.one_of(
    st.sampled_from([b"", b"0", b"1", b"/", SECRET, b"chunked"]),
    st.binary(max_size=6).map(lambda v: v.replace(b"\0", b"")),
)


@settings(max_examples=400)
@given(more=st.lists(st.tuples(names, values), max_size=6), base=st.permutations(BASE), in_order=st.booleans())
def test_parse_head_is_exact_or_refuses(
    *, more: list[tuple[bytes, bytes]], base: list[tuple[bytes, bytes]], in_order: bool
) -> None:
    """What comes out is what an independent, slow reading of the rules says."""
    pairs = (BASE if in_order else base) + more
    shapes = Shapes()
    try:
        head = parse_head(encode(pairs), SECRET, shapes)
    except ScgiError:
        with pytest.raises(ScgiError):
            parse_head(encode(pairs), SECRET, shapes)
        return
    again = parse_head(encode(pairs), SECRET, shapes)
    assert [getattr(again, name) for name in Head.__slots__] == [getattr(head, name) for name in Head.__slots__]
    expected: dict[bytes, bytes] = {}
    for name, value in pairs:
        removed = name in {b"HTTP_PROXY", b"HTTP_CONTENT_LENGTH", b"PATH_INFO", b"CONTENT_LENGTH", b"SCGI"}
        if (
            removed
            or name.startswith(b"PASSENGER_")
            or any(byte not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_" for byte in name)
        ):
            continue
        glue = b"; " if name == b"HTTP_COOKIE" else b", "
        expected[name] = expected[name] + glue + value if name in expected else value
    assert pairs[0][0] == b"CONTENT_LENGTH"
    assert decode(head.block) == expected


@settings(max_examples=400)
@given(st.binary(max_size=200))
@example(encode(BASE))
def test_parse_head_never_fails_otherwise(data: bytes) -> None:
    try:
        parse_head(data, SECRET, Shapes())
        parse_head(encode(BASE) + data + b"\0", SECRET, Shapes())
    except ScgiError:
        return


def test_names_that_clients_make_up_are_not_kept_for_ever() -> None:
    shapes = Shapes()
    for number in range(3 * Shapes.MOST):
        parse_head(encode(with_params((b"HTTP_X%d" % number, b"v"))), SECRET, shapes)
    parse_head(encode([*BASE, *((b"HTTP_X%d" % n, b"v") for n in range(Shapes.MOST_NAMES))]), SECRET, shapes)
    parse_head(encode(with_params((b"HTTP_" + b"X" * Shapes.MOST_BYTES, b"v"))), SECRET, shapes)
    assert len(shapes) <= Shapes.MOST
    assert max(len(b"".join(names)) for names in shapes) <= Shapes.MOST_BYTES


def test_known_names_do_not_vouch_for_values() -> None:
    """The second request with the names of the first is checked like the first."""
    shapes = Shapes()
    parse_head(encode(BASE), SECRET, shapes)
    for wrong in (
        with_params(PASSENGER_CONNECT_SECRET=b"guess"),
        with_params(SCGI=b"2"),
        with_params(CONTENT_LENGTH=b"1x"),
        with_params(REQUEST_METHOD=b"G T"),
        with_params(REQUEST_URI=b""),
        with_params(REQUEST_URI=b"/\n"),
    ):
        with pytest.raises(ScgiError):
            parse_head(encode(wrong), SECRET, shapes)


def test_a_megabyte_of_anything_is_read_in_linear_time() -> None:
    """F26: no adversarial head takes long."""
    heads = [
        encode([*BASE, *[(b"HTTP_X", b"")] * 60_000]),
        encode([*BASE, *[(b"HTTP_X%d" % i, b"v") for i in range(60_000)]]),
        encode(with_params(REQUEST_URI=b"/" + b"%2f" * 330_000)),
        b"\0" * 1_000_000,
        b"A" * 1_000_000 + b"\0",
    ]
    for data in heads:
        began = process_time()
        try:
            request_head(parse_head(data, SECRET, Shapes()), b"")
        except ScgiError:
            assert data[:1] in b"\0A"
        assert process_time() - began < 1.0


def test_session_head_is_framed() -> None:
    """4 bytes length; the password comes first, then our path, then what was received."""
    head = Head(app=b"blog", length=3, method=b"POST", uri=b"/blog/a?x", block=b"REQUEST_URI\0/blog/a?x\0")
    data = framed(request_head(head, b"/blog"), b"secret")
    assert int.from_bytes(data[:4]) == len(data) - 4
    assert data[4:] == (
        b"PASSENGER_CONNECT_PASSWORD\0secret\0SCRIPT_NAME\0/blog\0PATH_INFO\0/a\0CONTENT_LENGTH\x003\0REQUEST_URI\0/blog/a?x\0"
    )


@pytest.mark.parametrize("before", [b"", b"HTTP_X\0REQUEST_URI\0", b"X\0/a#b\0"])
def test_fragments_are_cut_out_of_the_uri(before: bytes) -> None:
    block = before + b"REQUEST_URI\0/a#b\0HTTP_Y\0/a#b\0"
    head = Head(app=b"blog", length=0, method=b"GET", uri=b"/a#b", block=block)
    assert request_head(head, b"") == b"SCRIPT_NAME\0\0PATH_INFO\0/a\0" + before + b"REQUEST_URI\0/a\0HTTP_Y\0/a#b\0"


@pytest.mark.parametrize(("value", "expected"), [(b"0", 0), (b"1", 1), (b"9" * 18, 10**18 - 1)])
def test_body_length_takes_plain_numbers(value: bytes, expected: int) -> None:
    assert body_length(value) == expected
