"""The timers of the machine's: each belongs to a component (or "" = the instance) and delivers one event."""

from __future__ import annotations

from collections.abc import Callable

from passenger.watchdog.component import Event
from passenger.watchdog.loop import Loop, Timer
from passenger.watchdog.phases import Happening

Delivery = Event | Happening


class Alarms:
    """At most one of each owner and event."""

    def __init__(self, loop: Loop, deliver: Callable[[str, Delivery], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._timers: dict[tuple[str, Delivery], Timer] = {}

    def set(self, name: str, event: Delivery, seconds: float) -> None:
        """Replaces one of the same owner."""
        self.cancel(name, event)
        self._timers[name, event] = self._loop.after(seconds, lambda: self._elapsed(name, event))

    def cancel(self, name: str, event: Delivery) -> None:
        if (timer := self._timers.pop((name, event), None)) is not None:
            timer.cancel()

    def _elapsed(self, name: str, event: Delivery) -> None:
        self._timers.pop((name, event), None)
        self._deliver(name, event)
