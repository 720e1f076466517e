"""Durations and sizes: strings with one unit, parsed once, and back.

Durations are seconds (float), sizes are bytes (int). A number alone means nothing here: `90` could be anything.
"""

from __future__ import annotations

import re
from typing import Final

KIB, MIB = 1024, 1024 * 1024

DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS: Final = {
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
}

_NUMBER: Final = r"[0-9]{1,12}(\.[0-9]{1,9})?"
DURATION_PATTERN: Final = rf"^{_NUMBER}({'|'.join(DURATION_UNITS)})$"
SIZE_PATTERN: Final = rf"^{_NUMBER}({'|'.join(SIZE_UNITS)})$"

LONGEST_DURATION: Final = 366 * 86400.0
"""Timers beyond a year are mistakes, and the kernel's own limits are not far behind."""
LARGEST_SIZE: Final = 1024**5

_SPLIT: Final = re.compile(r"([0-9.]+)([A-Za-z]+)\Z")


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError when the text is no duration."""
    if not re.match(DURATION_PATTERN.replace("$", r"\Z"), text):
        raise ValueError(text)
    number, unit = _split(text)
    return float(number) * DURATION_UNITS[unit]


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError when the text is no size."""
    if not re.match(SIZE_PATTERN.replace("$", r"\Z"), text):
        raise ValueError(text)
    number, unit = _split(text)
    return int(number) * SIZE_UNITS[unit] if "." not in number else int(float(number) * SIZE_UNITS[unit])


def _split(text: str) -> tuple[str, str]:
    match = _SPLIT.match(text)
    if match is None:
        raise ValueError(text)
    return match[1], match[2]


def duration_text(seconds: float) -> str:
    """The way a person would write it: `90s`, `1.5s`, `100ms`, `2h`."""
    for unit, factor in (("d", 86400.0), ("h", 3600.0)):
        if seconds >= factor and seconds % factor == 0:
            return f"{int(seconds / factor)}{unit}"
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    return f"{seconds:g}s"


def size_text(count: int) -> str:
    """The way a person would write it: `256KiB`, `1GiB`, `0B`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if count >= SIZE_UNITS[unit] and count % SIZE_UNITS[unit] == 0:
            return f"{count // SIZE_UNITS[unit]}{unit}"
    return f"{count}B"


def rough_size_text(count: int) -> str:
    """Likewise, of an amount that nobody wrote: from one MiB on without what is less than that."""
    return size_text(count - count % MIB if count >= MIB else count)


def duration_guess(text: str) -> str:
    """What a malformed duration was probably meant to be, or ""."""
    return _guess(
        text,
        {
            "sec": "s",
            "secs": "s",
            "second": "s",
            "seconds": "s",
            "min": "m",
            "mins": "m",
            "minute": "m",
            "minutes": "m",
            "hr": "h",
            "hour": "h",
            "hours": "h",
            "day": "d",
            "days": "d",
            "msec": "ms",
            "millis": "ms",
            "milliseconds": "ms",
            "": "s",
        },
        DURATION_UNITS,
    )


def size_guess(text: str) -> str:
    """What a malformed size was probably meant to be, or ""."""
    return _guess(
        text,
        {
            "k": "KiB",
            "kib": "KiB",
            "kb": "KB",
            "m": "MiB",
            "mib": "MiB",
            "mb": "MB",
            "g": "GiB",
            "gib": "GiB",
            "gb": "GB",
            "t": "TiB",
            "tib": "TiB",
            "tb": "TB",
            "b": "B",
            "bytes": "B",
            "byte": "B",
            "": "MiB",
        },
        SIZE_UNITS,
    )


def _guess(text: str, words: dict[str, str], units: dict[str, float] | dict[str, int]) -> str:
    match = re.match(r"\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*\Z", text)
    if match is None:
        return ""
    lower = match[2].lower()
    unit = match[2] if match[2] in units else words.get(lower, lower if lower in units else "")
    return f"{match[1]}{unit}" if unit else ""
