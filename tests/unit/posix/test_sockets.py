"""What needs no socket: addresses as people write them."""

from __future__ import annotations

from passenger.posix.sockets import shown_address


def test_addresses_are_shown_with_brackets_for_ipv6() -> None:
    """A colon in the host needs brackets."""
    assert shown_address("0.0.0.0", 80) == "0.0.0.0:80"
    assert shown_address("::1", 80) == "[::1]:80"
