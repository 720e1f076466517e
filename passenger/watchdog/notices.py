"""What the service manager is told (sd_notify), and when: pure, messages are returned, not sent.

Rules.
1. READY=1 is said once everything answers: nginx, the core, and every application that can start has its
   `min_instances`. Until then each sign of progress asks for more time.
2. RELOADING=1 and its time stand in one message (two can arrive apart), by the monotonic clock.
3. A stop asks for the time that it may take: the unit's TimeoutStopSec= need not follow the configuration.
4. The status is in words what is so now; it is said when it changes.
"""

from __future__ import annotations

from typing import Final

STARTING_GRACE: Final = 60.0
"""Seconds that a sign of progress buys while applications start."""
ENDING: Final = 15.0
"""Seconds beyond the drain: children are told to terminate, then killed, and the instance directory goes."""


class Notices:
    """The state of one conversation with the service manager."""

    def __init__(self) -> None:
        self.is_ready = False
        self._is_announced = False
        self._has_started = False
        self._is_stopping = False
        self._text = ""
        self._said = ""

    def announced(self) -> list[str]:
        """nginx accepts connections and the core serves."""
        self._is_announced = True
        return self._ready_or_waiting()

    def beat(self, *, started: bool, text: str) -> list[str]:
        """The core's sign of life."""
        self._text = text or self._text
        self._has_started = self._has_started or started
        return self._status(self._text) if self.is_ready else self._ready_or_waiting()

    def unwell(self, text: str) -> list[str]:
        """Something is not as it should be, and is being looked after."""
        return self._status(text) if self.is_ready else []

    def reloading(self, now: float) -> list[str]:
        if not self.is_ready:
            return []
        self._said = "reloading"
        return [f"RELOADING=1\nMONOTONIC_USEC={int(now * 1e6)}\nSTATUS={self._said}"]

    def reloaded(self, problem: str) -> list[str]:
        """`problem` "" when the new configuration is in use."""
        if not self.is_ready or self._is_stopping:
            return []
        self._said = f"the last reload changed nothing: {one_line(problem)}" if problem else self._text
        return [f"READY=1\nSTATUS={self._said}"]

    def stopping(self, seconds: float) -> list[str]:
        """Only the first word counts."""
        if self._is_stopping:
            return []
        self._is_stopping = True
        status = f"stopping; requests in progress get {seconds:g} s to finish"
        return [f"STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={_microseconds(seconds + ENDING)}"]

    def _ready_or_waiting(self) -> list[str]:
        if self._is_stopping:
            return []
        if self._is_announced and self._has_started:
            self.is_ready = True
            self._said = self._text
            return [f"READY=1\nSTATUS={self._text}"]
        status = f"starting: {self._text}" if self._text else "starting"
        return [f"STATUS={status}\nEXTEND_TIMEOUT_USEC={_microseconds(STARTING_GRACE)}"]

    def _status(self, text: str) -> list[str]:
        if text == self._said or self._is_stopping:
            return []
        self._said = text
        return [f"STATUS={text}"]


def one_line(text: str) -> str:
    """The first line of something longer, for a status."""
    return text.strip().partition("\n")[0][:200]


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)
