"""The watchdog's event loop: descriptors, timers and signals on plain `selectors`.

Rules.
1. One turn: ready descriptors in the order of the selector, then due timers in the order of their times.
2. A callback that raises ends the loop: the watchdog does not guess how to go on (children then see EOF and stop).
3. Signals are only noted by the interpreter's wakeup descriptor and delivered from the loop.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
from collections.abc import Callable, Iterable
from typing import Final

from passenger.clock import Clock

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE


class Timer:
    """A pending call."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self._call = None

    def fire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()

    def is_pending(self) -> bool:
        return self._call is not None


class Loop:
    """Runs callbacks until `stop`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._is_stopped = False

    def watch(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        """Call with the ready events; replaces what was watched before."""
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, call)
        else:
            self._selector.register(fd, events, call)

    def unwatch(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (self.clock.monotonic() + seconds, next(self._order), timer))
        return timer

    def run(self) -> None:
        """Until `stop`, which may have come before: a start can fail on its first step."""
        while not self._is_stopped:
            self._turn()

    def stop(self) -> None:
        self._is_stopped = True

    def close(self) -> None:
        self._selector.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._until_next()):
            if self._selector.get_map().get(key.fd) is key:  # an earlier callback may have closed it
                key.data(events)
        now = self.clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()

    def _until_next(self) -> float | None:
        while self._timers and not self._timers[0][2].is_pending():
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - self.clock.monotonic()) if self._timers else None


class Signals:
    """Delivers signals as calls from the loop; puts the old dispositions back on `close`."""

    def __init__(self, loop: Loop, numbers: Iterable[int], call: Callable[[int], None]) -> None:
        self._loop = loop
        self._call = call
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._previous_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, _noted) for number in numbers}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._previous)
        loop.watch(self._reader, READ, self._readable)

    def close(self) -> None:
        self._loop.unwatch(self._reader)
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._previous_fd)
        os.close(self._reader)
        os.close(self._writer)

    def _readable(self, _: int) -> None:
        for number in os.read(self._reader, 4096):
            if number in self._previous:
                self._call(number)


def _noted(_: int, __: object) -> None:
    """The wakeup descriptor has the number already."""
