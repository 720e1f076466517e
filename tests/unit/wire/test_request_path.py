"""SCRIPT_NAME and PATH_INFO (fault matrix F7): one decoding, nothing else."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.wire.request_path import split_path
from passenger.wire.scgi import ScgiError


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (b"/", b"/"),
        (b"/?", b"/"),
        (b"/?a=/b", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/a%20b", b"/a b"),
        (b"/a+b", b"/a+b"),
        (b"/%41", b"/A"),
        (b"/%2541", b"/%41"),
        (b"/a%2fb", b"/a/b"),
        (b"/a%2Fb", b"/a/b"),
        (b"/a%3Fb?c", b"/a?b"),
        (b"/a%23b", b"/a#b"),
        (b"/a#b", b"/a"),
        (b"/a#b?c", b"/a"),
        (b"/a?b#c", b"/a"),
        (b"//a//b", b"//a//b"),
        (b"/./a/../b", b"/./a/../b"),
        (b"/%2e%2e/a", b"/../a"),
        (b"/a;b=c", b"/a;b=c"),
        (b"/a\\b", b"/a\\b"),
        (b"/%5c", b"/\\"),
        (b"/\xc3\xa4", b"/\xc3\xa4"),
        (b"/%c3%a4", b"/\xc3\xa4"),
        (b"/%c0%af", b"/\xc0\xaf"),
        (b"/%0a", b"/\n"),
        (b"/%7f", b"/\x7f"),
        (b"http://example.com/a", b"/a"),
        (b"http://example.com", b"/"),
        (b"http://example.com?x", b"/"),
        (b"https://u@[::1]:80/a%20b?x", b"/a b"),
        (b"/a:b@c", b"/a:b@c"),
    ],
)
def test_path_at_the_root(uri: bytes, expected: bytes) -> None:
    assert split_path(uri, b"", b"GET") == (b"", expected)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (b"/blog", b""),
        (b"/blog?x", b""),
        (b"/blog#x", b""),
        (b"/blog/", b"/"),
        (b"/blog/a", b"/a"),
        (b"/%62log/a", b"/a"),
        (b"/blog%2fa", b"/a"),
        (b"/blog//a", b"//a"),
        (b"http://x/blog/a", b"/a"),
    ],
)
def test_path_below_a_base_uri(uri: bytes, expected: bytes) -> None:
    assert split_path(uri, b"/blog", b"GET") == (b"/blog", expected)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (b"//blog", b""),
        (b"//blog/", b"/"),
        (b"///blog//a", b"//a"),
        (b"/./blog/a", b"/a"),
        (b"/x/../blog/a/../b", b"/a/../b"),
        (b"/%2e/blog/a", b"/a"),
        (b"/%2fblog/a", b"/a"),
        (b"//x/..//blog?q=/", b""),
        (b"http://x//blog/a", b"/a"),
    ],
)
def test_other_spellings_of_the_base_uri_lead_to_it(uri: bytes, expected: bytes) -> None:
    """nginx merges slashes and resolves dots before it chooses the application."""
    assert split_path(uri, b"/blog", b"GET") == (b"/blog", expected)


def test_other_spellings_of_a_deep_base_uri() -> None:
    assert split_path(b"/a//b/./c", b"/a/b", b"GET") == (b"/a/b", b"/./c")
    assert split_path(b"/a/x/../b", b"/a/b", b"GET") == (b"/a/b", b"")
    with pytest.raises(ScgiError):
        split_path(b"//a", b"/a/b", b"GET")


@pytest.mark.parametrize(
    "uri",
    [
        b"/",
        b"//",
        b"/blogger",
        b"//blogger",
        b"/Blog/",
        b"/blo",
        b"/blog%00",
        b"/blog.x",
        b"/x//blog",
        b"/../blog",
        b"/blog../x",
    ],
)
def test_path_outside_the_base_uri_is_refused(uri: bytes) -> None:
    with pytest.raises(ScgiError):
        split_path(uri, b"/blog", b"GET")


@pytest.mark.parametrize(
    "uri",
    [
        b"/%00",
        b"/\0",
        b"/a b",
        b"/a\tb",
        b"/\x7f",
        b"/%",
        b"/%4",
        b"/%zz",
        b"/%4%41",
        b"a",
        b"*",
        b"?x",
        b"#",
        b"://x",
        b"/a?b c",
        b"1x://y/",
    ],
)
def test_malformed_uris_are_refused(uri: bytes) -> None:
    with pytest.raises(ScgiError):
        split_path(uri, b"", b"GET")


def test_asterisk_is_for_options() -> None:
    assert split_path(b"*", b"", b"OPTIONS") == (b"", b"")
    assert split_path(b"*", b"/blog", b"OPTIONS") == (b"/blog", b"")


@given(st.binary(max_size=30).filter(lambda path: b"\0" not in path))
def test_quoting_and_splitting_are_inverse(path: bytes) -> None:
    """SCRIPT_NAME + PATH_INFO is the decoded path."""
    script_name, path_info = split_path(b"/blog/" + quote_from_bytes(path).encode(), b"/blog", b"GET")
    assert script_name + path_info == b"/blog/" + path


@given(st.binary(max_size=30), st.sampled_from([b"", b"/a"]), st.sampled_from([b"GET", b"OPTIONS"]))
def test_nothing_else_is_ever_raised(uri: bytes, base: bytes, method: bytes) -> None:
    try:
        script_name, path_info = split_path(uri, base, method)
    except ScgiError:
        return
    assert script_name == base
    assert b"\0" not in path_info
