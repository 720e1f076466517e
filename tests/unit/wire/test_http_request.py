"""Request heads for processes that speak HTTP: our own framing, our own word on who the client is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.wire.http_request import MOST, RequestHeads
from passenger.wire.scgi import ScgiError

BASE = {
    "SCRIPT_NAME": "",
    "PATH_INFO": "/a b",
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/a%20b?x=1",
    "SERVER_NAME": "blog.example",
    "SERVER_PORT": "443",
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_PORT": "5000",
    "REQUEST_SCHEME": "https",
    "HTTP_HOST": "blog.example:8443",
}


def pairs(**changes: str | None) -> bytes:
    """The pairs of a request; None removes one."""
    merged = {name: value for name, value in (BASE | changes).items() if value is not None}
    return "".join(f"{name}\0{value}\0" for name, value in merged.items()).encode("latin-1")


def fields(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Request line and header fields, strictly read."""
    text = head.decode("latin-1")
    assert text.endswith("\r\n\r\n")
    line, *rest = text[:-4].split("\r\n")
    read = []
    for field in rest:
        name, separator, value = field.partition(": ")
        assert separator
        assert name == name.lower()
        read.append((name, value))
    return line, read


def test_whole_head() -> None:
    """Line, host, the client's headers, then our own."""
    line, read = fields(RequestHeads().head(pairs(HTTP_ACCEPT_LANGUAGE="de", HTTP_COOKIE="a=1; b=2")))
    assert line == "GET /a%20b?x=1 HTTP/1.1"
    assert read == [
        ("host", "blog.example:8443"),
        ("accept-language", "de"),
        ("cookie", "a=1; b=2"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "blog.example:8443"),
        ("x-forwarded-port", "443"),
        ("forwarded", 'for=192.0.2.7;host="blog.example:8443";proto=https'),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "CONNECTION",
        "KEEP_ALIVE",
        "TE",
        "TRAILER",
        "TRANSFER_ENCODING",
        "UPGRADE",
        "EXPECT",
        "PROXY",
        "PROXY_CONNECTION",
    ],
)
def test_clients_framing_is_dropped(name: str) -> None:
    """F5: nothing of the client's own connection goes on."""
    _, read = fields(RequestHeads().head(pairs(**{f"HTTP_{name}": "evil"})))
    assert "evil" not in dict(read).values()


@pytest.mark.parametrize("name", ["X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "FORWARDED", "X_REAL_IP"])
def test_clients_word_on_itself_is_replaced(name: str) -> None:
    """F9: one value each, the web server's."""
    _, read = fields(RequestHeads().head(pairs(**{f"HTTP_{name}": "6.6.6.6"})))
    assert "6.6.6.6" not in dict(read).values()
    assert len(read) == len(dict(read))


@pytest.mark.parametrize(
    ("method", "length", "expected"),
    [("GET", None, None), ("POST", None, "0"), ("PUT", None, "0"), ("DELETE", None, None), ("POST", "12", "12")],
)
def test_one_content_length_or_none(method: str, length: str | None, expected: str | None) -> None:
    """A body has its length; a method that expects one says 0."""
    _, read = fields(RequestHeads().head(pairs(REQUEST_METHOD=method, CONTENT_LENGTH=length)))
    assert [value for name, value in read if name == "content-length"] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("/", "/"),
        ("*", "*"),
        ("http://other.example/x?y", "/x?y"),
        ("http://other.example", "/"),
        ("http://o?q", "/?q"),
    ],
)
def test_origin_form(uri: str, target: str) -> None:
    """Absolute targets lose scheme and authority."""
    line, _ = fields(RequestHeads().head(pairs(REQUEST_URI=uri)))
    assert line.split(" ")[1] == target


def test_ipv6_client() -> None:
    """RFC 7239 wants brackets and quotes in Forwarded; X-Forwarded-For has neither."""
    _, read = fields(RequestHeads().head(pairs(REMOTE_ADDR="2001:db8::1")))
    assert dict(read)["forwarded"].startswith('for="[2001:db8::1]";')
    assert dict(read)["x-forwarded-for"] == "2001:db8::1"


def test_host_is_quoted() -> None:
    """A quote in Host cannot end the parameter."""
    _, read = fields(RequestHeads().head(pairs(HTTP_HOST='a";for=6.6.6.6')))
    assert 'host="a\\";for=6.6.6.6";' in dict(read)["forwarded"]


def test_without_host_the_server_name_serves() -> None:
    """HTTP/1.0 clients send none."""
    _, read = fields(RequestHeads().head(pairs(HTTP_HOST=None)))
    assert dict(read)["host"] == "blog.example"


@pytest.mark.parametrize("missing", ["REQUEST_METHOD", "REQUEST_URI", "REMOTE_ADDR"])
def test_missing_parameter(missing: str) -> None:
    """The web server did not do its part."""
    with pytest.raises(ScgiError, match=missing):
        RequestHeads().head(pairs(**{missing: None}))


@given(
    st.lists(st.text("ABCXYZ_019", min_size=1, max_size=6), max_size=8, unique=True), st.text(min_size=0, max_size=9)
)
def test_same_names_again_give_the_same_head(names: list[str], value: str) -> None:
    """What was learned says the same as what was worked out anew."""
    value = "".join(c for c in value if c.isprintable() and ord(c) < 256)
    block = pairs(**{f"HTTP_{name}": value for name in names})
    heads = RequestHeads()
    assert heads.head(block) == heads.head(block) == RequestHeads().head(block)


def test_memory_of_shapes_is_bounded() -> None:
    """Clients choose names: they cannot fill the core."""
    heads = RequestHeads()
    for number in range(3 * MOST):
        heads.head(pairs(**{f"HTTP_X{number}": "1"}))
    assert len(heads._shapes) <= MOST
