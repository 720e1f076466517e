"""Clients that leave while their request waits or runs: noticed without reading from them.

Nobody reads from such a connection (the unread byte, see `abort`), so no reader sees its end. Requests older than a
tick join one nested epoll that asks for EPOLLRDHUP only, edge-triggered; the loop watches that single descriptor.
Short requests never get here and cost nothing.

Rules.
1. `forget` comes before the descriptor is closed: a number is never left behind for its next owner.
2. An end that happened before `watch` is reported as well: epoll reports the state at the time of joining.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable


class Departures:
    """One nested epoll over the connections of requests in progress."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._left: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._on_events)

    def watch(self, fd: int, left: Callable[[], None]) -> None:
        """Call `left` once, from the loop, when the peer of `fd` has closed or half-closed."""
        self._left[fd] = left
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLET)

    def forget(self, fd: int) -> None:
        """Stop watching; idempotent."""
        if self._left.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Idempotent."""
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._left.clear()

    def _on_events(self) -> None:
        for fd, _ in self._epoll.poll(0, 256):
            left = self._left.get(fd)
            if left is not None:  # it may have been forgotten by the callback of an earlier one
                self.forget(fd)
                left()
