"""One coarse timer for all requests: they are looked at when they get older than a tick, and again when they are due.

Rules.
1. Joining and leaving the wheel costs one dictionary operation; there is no timer per request.
2. A tick costs as much as there are requests that got a tick older for the first time, or are due now. Nothing else.
3. The timer runs only while somebody is in the wheel: an idle core is not woken up.
4. Time is counted in ticks of PERIOD on the monotonic clock, and the timer fires where one begins; after a stall every
   tick that was missed is made up for. `now` is the last one that was seen: it is behind by as much as the loop stands
   still. A deadline that must not come early even then counts from `true_now`.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

from passenger.clock import Clock

PERIOD: Final = 0.25
_AFTER: Final = 0.001
"""Seconds behind the beginning of a tick for which the timer is set: loops round to milliseconds."""
NEVER: Final = -1


class Rider(Protocol):
    """Somebody with a deadline. `slot` belongs to the wheel."""

    slot: dict[Rider, None]

    def aged(self) -> None:
        """A tick has passed since it joined."""
        ...

    def due_at(self) -> int:
        """The tick of its deadline, or NEVER."""
        ...

    def overdue(self) -> None:
        """The deadline has passed."""
        ...


def ticks(seconds: float) -> int:
    """A duration in ticks, rounded up so that a deadline never comes early."""
    return math.ceil(seconds / PERIOD) + 1


class Wheel:
    """Riders by the tick in which they are to be looked at."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._slots: dict[int, dict[Rider, None]] = {}
        self._timeless: dict[Rider, None] = {}
        self._count = 0
        self.fresh: dict[Rider, None] = {}
        """Those that joined since the last tick."""
        self.now = 0

    def join(self, rider: Rider) -> None:
        if self._timer is None:
            self.now = self._arm()
        rider.slot = self.fresh
        self.fresh[rider] = None
        self._count += 1

    def leave(self, rider: Rider) -> None:
        if rider in rider.slot:
            del rider.slot[rider]
            self._count -= 1

    def move(self, rider: Rider) -> None:
        """Its deadline has come closer: put it where it belongs now. A rider that is still fresh stays there."""
        if rider.slot is not self.fresh:
            del rider.slot[rider]
            self._place(rider)

    def riders(self) -> list[Rider]:
        """Everybody."""
        slots = [self.fresh, self._timeless, *self._slots.values()]
        return [rider for slot in slots for rider in slot]

    def true_now(self) -> int:
        """The tick of this moment: one look at the clock."""
        return int(self._clock.monotonic() / PERIOD)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> int:
        """Set the timer to where the next tick begins; returns the one that is."""
        time = self._clock.monotonic()
        tick = int(time / PERIOD)
        self._timer = self._loop.call_later((tick + 1) * PERIOD - time + _AFTER, self._tick)
        return tick

    def _tick(self) -> None:
        before, self.now = self.now, self.true_now()
        joined, self.fresh = self.fresh, {}
        due = [slot for tick in range(before + 1, self.now + 1) if (slot := self._slots.pop(tick, None))]
        for rider in joined:
            self._place(rider)
        for rider in list(joined):
            rider.aged()
        for slot in due:
            while slot:
                self._look_at(slot.popitem()[0])
        if self._count:
            self._arm()
        else:
            self._timer = None
            self._slots.clear()

    def _look_at(self, rider: Rider) -> None:
        self._place(rider)
        at = rider.due_at()
        if at != NEVER and at <= self.now:
            rider.overdue()

    def _place(self, rider: Rider) -> None:
        at = rider.due_at()
        slot = self._timeless if at == NEVER else self._slots.setdefault(max(at, self.now + 1), {})
        rider.slot = slot
        slot[rider] = None
