"""Users and groups that are given as numbers."""

from __future__ import annotations

from typing import Final

LARGEST_ID: Final = 2**32 - 3
"""The two larger 32-bit values mean "no change" to the kernel and are no ids."""


def numeric_id(name: str) -> int | None:
    """The number that a user or group is given as; None for a name, and for digits that are no id."""
    if not (name.isascii() and name.isdigit() and len(name) <= len(str(LARGEST_ID))):
        return None
    return number if (number := int(name)) <= LARGEST_ID else None
