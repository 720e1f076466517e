"""Durations and sizes: what is read, what is refused, what is guessed, and how they are written back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.config.units import (
    DURATION_UNITS,
    duration_guess,
    duration_text,
    parse_duration,
    parse_size,
    rough_size_text,
    size_guess,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0.0), ("500ms", 0.5), ("1.5s", 1.5), ("90s", 90.0), ("5m", 300.0), ("2h", 7200.0), ("1d", 86400.0)],
)
def test_duration(text: str, seconds: float) -> None:
    """A number and one unit are seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0B", 0),
        ("512B", 512),
        ("64KiB", 65536),
        ("1.5MiB", 1572864),
        ("1GiB", 2**30),
        ("2KB", 2000),
        ("3GB", 3 * 10**9),
    ],
)
def test_size(text: str, count: int) -> None:
    """A number and one unit are bytes; KiB counts by 1024, KB by 1000."""
    assert parse_size(text) == count


@pytest.mark.parametrize(
    "text", ["", "90", "s", "1h30m", "90 s", " 90s", "90s\n", "-1s", "1e3s", ".5s", "٣s", "90S", "9" * 13 + "s"]
)
def test_no_duration(text: str) -> None:
    """Anything else is refused, the line break at the end and foreign digits included."""
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "20", "20M", "20 MiB", "20mib", "MiB", "20MiB\n", "-1B"])
def test_no_size(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "guess"),
    [("90", "90s"), ("90 seconds", "90s"), ("5 min", "5m"), ("90S", "90s"), ("1h30m", ""), ("soon", "")],
)
def test_duration_guess(text: str, guess: str) -> None:
    """What was probably meant is offered; what could be anything is not."""
    assert duration_guess(text) == guess


@pytest.mark.parametrize(
    ("text", "guess"), [("20M", "20MiB"), ("20 mb", "20MB"), ("20", "20MiB"), ("1.5g", "1.5GiB"), ("big", "")]
)
def test_size_guess(text: str, guess: str) -> None:
    """What was probably meant is offered; what could be anything is not."""
    assert size_guess(text) == guess


@given(st.integers(0, 10**12 - 1))
def test_sizes_return(count: int) -> None:
    """A size that was written by us reads as the same number of bytes."""
    assert parse_size(size_text(count)) == count


@given(st.integers(0, 500), st.sampled_from(sorted(DURATION_UNITS)))
def test_durations_return(number: int, unit: str) -> None:
    """A duration that was written by us reads as the same number of seconds."""
    seconds = parse_duration(f"{number}{unit}")
    assert parse_duration(duration_text(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("count", "text"),
    [(24_684_092 * 1024, "24105MiB"), (2**30, "1GiB"), (2**20 + 1, "1MiB"), (4096, "4KiB"), (0, "0B")],
)
def test_measured_sizes_are_easy_to_read(count: int, text: str) -> None:
    """Nobody wrote them, so nobody looks for the last byte."""
    assert rough_size_text(count) == text
