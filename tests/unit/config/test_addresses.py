"""`ADDRESS:PORT` texts: read exactly, compared as the kernel would, and guessed when malformed."""

from __future__ import annotations

import pytest

from passenger.config.addresses import address_guess, overlap, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("*:80", ("0.0.0.0", 80)),
        ("[::]:65535", ("::", 65535)),
        ("[0:0:0:0:0:0:0:1]:1", ("::1", 1)),
    ],
)
def test_parse(text: str, address: tuple[str, int]) -> None:
    """Hosts become numeric and canonical."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["127.0.0.1:0", "127.0.0.1:65536", "256.0.0.1:80", "010.0.0.1:80", "[127.0.0.1]:80", "[::g]:80", "[:::]:80"]
)
def test_no_such_address(text: str) -> None:
    """What cannot be bound is refused with a reason."""
    with pytest.raises(ValueError, match=r"ports go from|is not an address"):
        parse_address(text)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (("0.0.0.0", 80), ("10.0.0.1", 80), True),
        (("10.0.0.1", 80), ("10.0.0.1", 80), True),
        (("10.0.0.1", 80), ("10.0.0.2", 80), False),
        (("0.0.0.0", 80), ("0.0.0.0", 81), False),
        (("::", 80), ("0.0.0.0", 80), False),
        (("::", 80), ("::1", 80), True),
    ],
)
def test_overlap(one: tuple[str, int], other: tuple[str, int], together: bool) -> None:  # noqa: FBT001
    """Listeners exclude each other by port and address, in both directions, within one family."""
    assert overlap(one, other) == overlap(other, one) == together


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        (":8080", "0.0.0.0:8080"),
        ("8080", "0.0.0.0:8080"),
        ("localhost:80", "127.0.0.1:80"),
        ("example.com:80", ""),
        ("x", ""),
    ],
)
def test_guess(text: str, guess: str) -> None:
    """Bare ports and `localhost` have an obvious address; other names have none."""
    assert address_guess(text) == guess
