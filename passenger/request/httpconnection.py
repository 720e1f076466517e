"""A connection to a process that speaks HTTP/1.1 (`http_session`): what is different from the session protocol.

Rules.
1. When the client has left the connection is closed: an application with many requests at a time sees that and stops,
   and its place is free at once. A process that takes one request at a time is waited for, unless its request body
   was cut: a half-close would be an abort to most HTTP servers, so there is none.
2. At most MOST_IDLE connections are parked on a socket: the oldest makes room.
3. A parked connection is closed after IDLE_TICKS, sooner than the usual servers close theirs (Gunicorn: 2 s), so that
   a request hardly ever meets a connection that is just being closed. It stays in the wheel all its life: a request
   costs no operation there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from passenger.request.appconnection import AppConnection
from passenger.request.wheel import Rider, Wheel, ticks

if TYPE_CHECKING:
    import socket

    from passenger.pool.model import Socket

MOST_IDLE: Final = 32
IDLE_TICKS: Final = ticks(1.0)


class HttpConnection(AppConnection):
    """One connection of an HTTP application."""

    __slots__ = ("_parked_at", "_wheel", "slot")

    def __init__(self, loop: Any, sock: socket.socket, place: Socket, *, wheel: Wheel, **parts: Any) -> None:
        super().__init__(loop, sock, place, **parts)
        self._wheel = wheel
        self._parked_at = 0
        self.slot: dict[Rider, None] = {}
        wheel.join(self)

    def client_left(self) -> None:
        if self._socket.concurrency == 1 and not self._body_due:
            super().client_left()
        elif self._fd >= 0:
            self._client = None
            self._over(keep=False)

    def _released(self) -> socket.socket:
        self._wheel.leave(self)
        return super()._released()

    def _park(self) -> None:
        idle = self._socket.idle
        if len(idle) >= MOST_IDLE:
            idle.pop(0).close()
        self._parked_at = self._wheel.now
        idle.append(self)

    # Rider

    def aged(self) -> None:
        """Nothing is due for one that is a tick old."""

    def due_at(self) -> int:
        return (self._parked_at if self._session is None else self._wheel.now) + IDLE_TICKS

    def overdue(self) -> None:
        if self._session is None:
            self._leave_idle()
