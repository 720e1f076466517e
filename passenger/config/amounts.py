"""Amounts that are more than a number with a unit: shares, shares of the memory, CPUs, and `unlimited`.

Their texts have the forms of `passenger.config.patterns` already; what they come to is worked out where it is used.
"""

from __future__ import annotations

from typing import Final

from passenger.config.units import parse_size

UNLIMITED: Final = -1
"""The kernel's RLIM_INFINITY."""


def share(text: str) -> float:
    """`25%` as 0.25."""
    return float(text.removesuffix("%")) / 100


def is_share(text: str) -> bool:
    return text.endswith("%")


def memory(text: str | None, visible: int | None) -> int | None:
    """Bytes of an amount of memory; None when there is none, or it is a share of a memory that is not known."""
    if text is None:
        return None
    if not is_share(text):
        return parse_size(text)
    return None if visible is None else int(share(text) * visible)


def room(text: str) -> int:
    """Bytes of a resource limit, or UNLIMITED."""
    return UNLIMITED if text == "unlimited" else parse_size(text)


def count(value: int | str) -> int:
    """The number of a resource limit, or UNLIMITED."""
    return UNLIMITED if isinstance(value, str) else value


def cpus(text: str) -> float:
    """CPUs: `150%` and `1.5` are the same."""
    return share(text) if is_share(text) else float(text)
