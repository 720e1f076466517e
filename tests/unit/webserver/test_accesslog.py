"""Which bytes of a client stand in a line of JSON: compared with Python's own idea of UTF-8."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from passenger.webserver.accesslog import _NO_TEXT

BAD = re.compile(_NO_TEXT.removeprefix("~").encode())
UNWANTED = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")
pieces = st.one_of(
    st.binary(max_size=6),
    st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"\xc2\x9b", "\u202e".encode(), b"\xe2\x80", b"\xf4\x8f\xbf\xbf", b"\xf0\x90\x80", b"\xed\x9f\xbf"]
    ),
)


@given(st.lists(pieces, max_size=6).map(b"".join))
def test_what_is_kept_is_text_and_all_of_it(data: bytes) -> None:
    """The first byte that is none is found exactly; nginx never passes a NUL."""
    data = data.replace(b"\0", b"")
    kept = data if (found := BAD.match(data)) is None else found[1]
    text = kept.decode("utf-8", "strict")
    assert not UNWANTED.search(text)
    if found is not None:
        rest = data[len(kept) :].decode("utf-8", "replace")
        assert rest[0] == "\N{REPLACEMENT CHARACTER}" or UNWANTED.match(rest[0])
