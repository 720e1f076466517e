"""The request for out-of-band work, in either protocol."""

from __future__ import annotations

from passenger.wire.errand import request


def test_in_the_session_protocol_it_is_a_method_without_a_uri() -> None:
    pairs = b"PASSENGER_CONNECT_PASSWORD\0secret\0REQUEST_METHOD\0OOBW\0"
    assert request("session", b"secret") == len(pairs).to_bytes(4, "big") + pairs


def test_over_http_it_is_a_whole_request_with_the_password() -> None:
    head, _, body = request("http_session", b"secret").partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"POST /-passenger/oob-work HTTP/1.1"
    assert {b"X-Passenger-OOB-Work: secret", b"Content-Length: 0", b"Connection: close"} <= set(lines)
    assert body == b""
