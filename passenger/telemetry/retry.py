"""When something that failed is tried again. Pure: time and chance are handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST: Final = 1.0
LONGEST: Final = 300.0
LONGEST_ASKED: Final = 3600.0
"""Seconds of a Retry-After that are obeyed."""


class Retry:
    """1 s doubling to 300 s, each between a half of that and the whole; what the other side asks for counts more."""

    __slots__ = ("_random", "failures")

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` gives numbers in [0, 1)."""
        self._random = random
        self.failures = 0

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, asked: float | None) -> float:
        """Seconds to wait; `asked` is what Retry-After said."""
        whole = min(LONGEST, FIRST * 2.0 ** min(self.failures, 20))
        self.failures += 1
        own = max(FIRST, whole * (0.5 + self._random() / 2))
        return own if asked is None else max(FIRST, min(asked, LONGEST_ASKED))
