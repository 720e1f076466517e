"""Questions to the core that it answers later: each answer reaches the one who asked, or nobody asks any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

OnDone = Callable[[dict[str, Any] | None, str], None]
"""Gets the report, or None and the reason."""


class CoreAnswers:
    """At most one open question."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None]) -> None:
        self._send = send
        self._waiting: OnDone | None = None
        self._number = 0

    def ask(self, question: Mapping[str, Any], on_done: OnDone) -> None:
        self._number += 1
        self._waiting = on_done
        self._send({**question, "id": self._number})

    def answered(self, message: Mapping[str, Any]) -> None:
        """`reloaded` or `reload_failed`; one to an older question is nobody's."""
        if self._waiting is None or self._number != message.get("id"):
            return
        call, self._waiting = self._waiting, None
        if message["event"] == "reloaded":
            call(dict(message.get("report") or {}), "")
        else:
            call(None, str(message.get("reason")))

    def core_ended(self) -> None:
        if self._waiting is not None:
            call, self._waiting = self._waiting, None
            call(None, "the core ended meanwhile")
