"""The web server's end of a request: the response goes out here, and the connection ends here.

States:
    READING   the head is not whole yet
    QUEUED    waits for a session
    RUNNING   a process works on it
    ANSWERED  the response is whole and being flushed
    STREAMING a response of our own goes on until its end is said
    TUNNELLED the process has switched protocols; see `UpgradeClient`
    LINGERING the response went out, the rest of a request that came late is read and dropped
    CLOSED

Rules.
1. Every way out goes through `_finish` (response whole) or `cut` (everything else): see `abort`.
2. Departures only learn of the end of the connection: a web server does not half-close, so whoever closes has gone.
3. Whatever still refers to the descriptor lets go of it before it is closed (`_detach`).
"""

from __future__ import annotations

import enum
import socket
from abc import ABC, abstractmethod
from socket import SocketType
from typing import TYPE_CHECKING, Final

from passenger.request.abort import complete, cut, take
from passenger.request.flow import Backlog
from passenger.request.observed import CUT, Seen
from passenger.request.wheel import PERIOD, Rider
from passenger.wire.http1 import END
from passenger.wire.status import ClientStatus

if TYPE_CHECKING:
    from passenger.request.appconnection import AppConnection
    from passenger.request.handler import RequestHandler

DISCARD: Final = 256 * 1024


class State(enum.Enum):
    READING = "reading"
    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    STREAMING = "streaming"
    TUNNELLED = "tunnelled"
    LINGERING = "lingering"
    CLOSED = "closed"


_READING, _QUEUED, _RUNNING = State.READING, State.QUEUED, State.RUNNING
_ANSWERED, _LINGERING, _CLOSED = State.ANSWERED, State.LINGERING, State.CLOSED
_STREAMING = State.STREAMING


class WebConnection(ABC):
    """One accepted connection. A subclass reads the request and has it served; see `Client`."""

    __slots__ = (
        "_backlog",
        "_begun",
        "_body_left",
        "_connection",
        "_fd",
        "_handler",
        "_held",
        "_seen",
        "_since",
        "_sock",
        "_state",
        "_watched",
        "bodiless",
        "slot",
    )

    def __init__(self, handler: RequestHandler, sock: SocketType) -> None:
        self._handler = handler
        self._sock = sock
        self._fd = sock.fileno()
        self._state = _READING
        self._held = 0
        """Bytes of the request that are left unread until the response is whole."""
        self._body_left = 0
        """Not 0 while bytes of the request body were not read yet that do not belong to `_held`."""
        self._begun = False
        """Response bytes went to the web server."""
        self._connection: AppConnection | None = None
        self._backlog: Backlog | None = None
        self._watched = False
        self._seen: Seen | None = None
        """What is noted of a request that somebody watches."""
        self._since = 0
        """Tick from which the deadline of the present state counts."""
        self.bodiless = False
        self.slot: dict[Rider, None] = {}

    status_place = slice(9, 12)
    """Of the status in a response as the web server gets it: `HTTP/1.1 200 OK`."""

    # The response goes out

    def deliver(self, data: bytes) -> bool:
        """Response bytes. False = wait: the connection to the process is resumed later."""
        self._begun = True
        seen = self._seen
        if seen is not None:
            seen.sent += len(data)
            if not seen.status:
                seen.status = data[self.status_place]
        if self._backlog is not None:
            self._backlog.push(data)
            return False
        try:
            sent = self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.left()
            return True
        if sent == len(data):
            return True
        self._backlog = Backlog(self._handler.loop, self._sock, drained=self._flushed, failed=self.left)
        self._backlog.push(memoryview(data)[sent:])
        return False

    def answer(self, data: bytes) -> None:
        """A whole response of our own."""
        if self._state is _CLOSED:
            return
        if self.bodiless:
            data = data[: data.index(END) + len(END)]
        self._state = _ANSWERED
        if self._seen is not None:
            self._seen.is_own = True
        if self.deliver(data) and self._state is _ANSWERED:
            self._finish()

    # A response of our own that goes on

    @property
    def is_streaming(self) -> bool:
        """Whether more may be said: neither side has ended it."""
        return self._state is _STREAMING

    @property
    def is_behind(self) -> bool:
        """It has not taken yet what was said."""
        return self._backlog is not None

    def begin_stream(self, head: bytes) -> None:
        """The head of a response without a length, which `deliver` goes on with and `end_stream` ends."""
        self._state = _STREAMING
        if self.slot is not self._handler.wheel.fresh:
            self._handler.wheel.move(self)
            self.aged()
        self.deliver(head)

    def end_stream(self) -> None:
        """The response is whole."""
        if self._state is _STREAMING:
            self._state = _ANSWERED
            if self._backlog is None:
                self._finish()

    def _flushed(self) -> None:
        self._backlog = None
        if self._state is _ANSWERED:
            self._finish()
        elif self._connection is not None:
            self._connection.resume()

    # Ends

    def _finish(self) -> None:
        """The response is whole and flushed."""
        self._handler.handled += 1
        if self._body_left:
            self._linger()
        else:
            self._detach()
            complete(self._sock, self._held)
            self._handler.closed()
        if self._seen is not None:
            self._handler.told(self._seen)

    def _linger(self) -> None:
        """Much of the request is still to come: let the web server read the response before the connection goes."""
        self._stop_reading()
        self._unwatch()
        self._state = _LINGERING
        self._since = self._handler.wheel.now
        self._handler.wheel.move(self)
        self._sock.shutdown(socket.SHUT_WR)
        self._handler.loop.add_reader(self._fd, self._discard)

    def _discard(self) -> None:
        try:
            if take(self._sock, DISCARD):
                return
        except BlockingIOError:
            return
        except OSError:  # a reset: it has gone as well
            self._held = 0
        self._close()

    @abstractmethod
    def left(self) -> None:
        """The web server has gone, because its client has; nothing more can be written."""

    @abstractmethod
    def due_at(self) -> int:
        """Rider: the tick of the deadline of the present state, or NEVER."""

    @abstractmethod
    def overdue(self) -> None:
        """Rider: the deadline has passed."""

    @abstractmethod
    def _stop_reading(self) -> None:
        """Whoever reads the request stops. Idempotent."""

    def cut(self) -> None:
        """Give up: the web server must not take what it got as a whole response."""
        if self._state is not _CLOSED:
            if self._seen is not None:
                self._seen.ending = self._seen.ending or CUT
            self.left()

    def _close(self) -> None:
        self._detach()
        cut(self._sock)
        self._handler.closed()
        if self._seen is not None:
            self._seen.ending = self._seen.ending or CUT
            self._handler.told(self._seen)

    def _detach(self) -> None:
        """Nothing of the loop refers to the connection any more."""
        if self._state is _LINGERING:
            self._handler.loop.remove_reader(self._fd)
        self._state = _CLOSED
        self._connection = None
        self._stop_reading()
        if self._backlog is not None:
            self._backlog.close()
            self._backlog = None
        self._unwatch()
        self._handler.wheel.leave(self)

    def shown(self) -> ClientStatus:
        """For people who look at what goes on."""
        route = getattr(self, "_route", None)
        since = self._since
        return {
            "state": self._state.value,
            "seconds": (self._handler.wheel.now - since) * PERIOD if since else None,
            "app": None if route is None else route.name,
            "pid": None if self._connection is None else self._connection.pid,
            "begun": self._begun,
        }

    # Time

    def aged(self) -> None:
        """The request is older than a tick: from now on its client may be missed."""
        if not self._watched and self._state in (_QUEUED, _RUNNING, _ANSWERED, _STREAMING):
            self._watched = True
            self._handler.departures.watch(self._fd, self.left)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._handler.departures.forget(self._fd)
