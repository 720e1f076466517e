"""Upgrade requests and their answers: read exactly, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.wire.http1 import BadResponse
from passenger.wire.http_request import RequestHeads
from passenger.wire.scgi import ScgiError
from passenger.wire.session import request_head
from passenger.wire.switching import is_switching, switching_head
from passenger.wire.upgrade_head import parse_upgrade
from tests.support.requestcore import SECRET, upgrade


def forwarded(data: bytes) -> dict[bytes, bytes]:
    """The headers that the application gets."""
    asked = parse_upgrade(data, SECRET)
    head = RequestHeads().head(request_head(asked.head, b""), asked.protocol)
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
    pairs = [line.split(b": ", 1) for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs)
    return {name: value for name, value in pairs}  # noqa: C416 - lists of two


def test_the_usual_request_goes_on_with_our_own_words_about_the_client() -> None:
    """Host with its port, the address of the client, and the upgrade."""
    asked = parse_upgrade(upgrade({"X-Forwarded-For": "6.6.6.6", "Cookie": "a=1"}), SECRET)
    assert (asked.head.app, asked.head.method, asked.head.uri) == (b"blog", b"GET", b"/chat?a=b")
    assert asked.protocol == b"websocket"
    assert b"REMOTE_ADDR\x00127.0.0.1\0" in asked.head.block
    assert b"QUERY_STRING\0a=b\0" in asked.head.block
    assert SECRET not in asked.head.block
    headers = forwarded(upgrade({"X-Forwarded-For": "6.6.6.6", "Cookie": "a=1", "X-Passenger-Else": "x"}))
    assert headers[b"connection"] == b"upgrade"
    assert headers[b"upgrade"] == b"websocket"
    assert headers[b"host"] == b"localhost:8080"
    assert headers[b"x-forwarded-for"] == b"127.0.0.1"
    assert headers[b"cookie"] == b"a=1"
    assert not [name for name in headers if name.startswith(b"x-passenger")]


def test_a_client_behind_a_load_balancer_has_no_port() -> None:
    """nginx knows none when its address came in X-Forwarded-For, and leaves the header out."""
    asked = parse_upgrade(upgrade({"X-Passenger-Client-Port": ""}), SECRET)
    assert b"REMOTE_ADDR\x00127.0.0.1\0" in asked.head.block


def test_a_trusted_proxy_counts_only_with_the_secret() -> None:
    """A client can send the header where no web server of ours drops it; its word about traces is not to be believed."""
    told = parse_upgrade(upgrade({"X-Passenger-Trusted-Proxy": SECRET.decode() + "1"}), SECRET)
    assert b"TRUSTED_PROXY\x001\0" in told.head.block
    assert SECRET not in told.head.block
    for claim in ("1", SECRET.decode(), SECRET.decode() + "2"):
        claimed = parse_upgrade(upgrade({"X-Passenger-Trusted-Proxy": claim, "Trusted-Proxy": "1"}), SECRET)
        assert b"\0TRUSTED_PROXY\0" not in claimed.head.block


def test_content_length_zero_is_no_body_and_is_not_passed_on() -> None:
    """Some clients say it."""
    assert b"content-length" not in forwarded(upgrade({"Content-Length": "0"}))


def test_repeated_headers_are_joined() -> None:
    """As for every request."""
    data = upgrade().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n\r\n")
    assert forwarded(data)[b"sec-websocket-protocol"] == b"a, b"


@pytest.mark.parametrize(
    "data",
    [
        upgrade({"X-Passenger-Connect-Secret": "wrong"}),
        upgrade({"X-Passenger-Connect-Secret": ""}),
        upgrade({"X-Passenger-App": ""}),
        upgrade({"X-Passenger-Client-Address": ""}),
        upgrade({"Connection": "close"}),
        upgrade({"Connection": "x-upgrade"}),
        upgrade({"Upgrade": ""}),
        upgrade({"Upgrade": "websocket, h2c"}),
        upgrade({"Upgrade": "web socket"}),
        upgrade({"Content-Length": "5"}),
        upgrade({"Content-Length": "00"}),
        upgrade({"Transfer-Encoding": "chunked"}),
        upgrade(method="HEAD"),
        upgrade(target="/a b"),
        upgrade(target="/\x01"),
        upgrade({"X-A": "b\r\n folded: yes"}),
        upgrade({"X-A": "b\nX-B: c"}),
        upgrade({"X-A": "b\x00"}),
        upgrade({"X A": "b"}),
        upgrade() + b"GET / HTTP/1.1\r\n\r\n",
        upgrade().replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n", 1),
        upgrade().replace(b"\r\n\r\n", b"\r\nX-Passenger-App: other\r\n\r\n"),
        upgrade().replace(b"\r\n\r\n", b"\r\nX-Passenger-Connect-Secret: " + SECRET + b"\r\n\r\n"),
        upgrade().replace(b"\r\n\r\n", b"\r\nHost: other\r\n\r\n"),
        b"\r\n" + upgrade(),
        upgrade()[:-2],
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    """One request without a body, from our nginx, for one protocol."""
    with pytest.raises(ScgiError):
        parse_upgrade(data, SECRET)


@given(st.binary(max_size=300), st.integers(0, 500), st.integers(0, 30))
def test_garbage_is_refused_or_read_without_a_line_break(noise: bytes, at: int, cut: int) -> None:
    """Nothing but ScgiError leaves, and no value carries a control byte on."""
    data = upgrade()
    data = data[:at] + noise + data[at + cut :]
    try:
        asked = parse_upgrade(data, SECRET)
    except ScgiError:
        return
    assert not set(asked.head.block) & (set(range(0x20)) - {0, 9})
    assert SECRET not in asked.head.block


ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n%bUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"


def test_switching_head_is_cleaned() -> None:
    """Only what belongs to the upgrade and to the application reaches nginx."""
    head = ANSWER % b"Sec-WebSocket-Accept: x\r\nContent-Length: 5\r\nX-Accel-Redirect: /y\r\nKeep-Alive: 5\r\n"
    assert is_switching(head)
    assert switching_head(head, b"websocket") == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        ANSWER.replace(b"WebSocket", b"h2c") % b"",
        ANSWER.replace(b"Connection: Upgrade\r\n", b"") % b"",
        ANSWER.replace(b"Upgrade: WebSocket\r\n", b"") % b"",
        ANSWER % b"X: a\nY: b\r\n",
        ANSWER % b": a\r\n",
        ANSWER.replace(b"HTTP/1.1 101 S", b"HTTP/1.1 101S") % b"",
        ANSWER.replace(b"HTTP/1.1", b"HTTP/1.0") % b"",
    ],
)
def test_a_switch_that_nobody_asked_for_is_refused(head: bytes) -> None:
    """The tunnel would carry another protocol than the client expects."""
    with pytest.raises(BadResponse):
        switching_head(head, b"websocket")
