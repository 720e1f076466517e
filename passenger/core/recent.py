"""The last lines of the core's log, kept for `passenger logs`: what the core and the applications said.

Rules.
1. Bounded in bytes: what is older goes. It is kept in memory only, and ends with the core.
2. It costs one append per write to the log, and nothing per request.
3. Lines have numbers that grow, so that a follower asks for what came after the last one that it has seen.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

KEPT: Final = 256 * 1024
"""Bytes."""


class RecentLines:
    """What `add` got last."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._writes: deque[bytes] = deque()
        self._size = 0
        self._next = 0
        """Number of the write that comes next."""

    def add(self, data: bytes) -> None:
        """One write to the log: whole lines."""
        self._writes.append(data)
        self._next += 1
        self._size += len(data)
        while self._size > self._kept and self._writes:
            self._size -= len(self._writes.popleft())

    def since(self, number: int) -> dict[str, Any]:
        """The lines of the writes from `number` on, the number to ask with next time, and whether some were lost."""
        first = self._next - len(self._writes)
        begin = max(number, first)
        data = b"".join(list(self._writes)[begin - first :])
        return {
            "lines": data.decode("utf-8", "replace").split("\n")[:-1],
            "next": self._next,
            "lost": bool(number) and number < first,
        }

    async def logs(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `logs`. The numbers of another core mean nothing here: with its pid everything is new."""
        number = question.get("after", 0)
        if not isinstance(number, int) or number < 0 or question.get("pid") != os.getpid():
            number = 0
        return {**self.since(number), "pid": os.getpid()}
