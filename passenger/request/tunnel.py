"""An upgraded connection: bytes from the web server to the process and back, until one of them ends it.

Rules.
1. Each way holds at most one piece of what the other side does not take yet; meanwhile its source is not read.
2. The end of one way is passed on when everything before it was written: as a half-close. The other way then has
   HALF_CLOSED_TICKS to end, too. (nginx closes both ways at once, so to it a half-closed tunnel is a closed one.)
3. An error on either side ends both. What is missing then is no secret: without a Close frame a client sees 1006.
4. `leave` ends a WebSocket politely: a Close frame at the next end of a frame of the application, whose later frames
   are dropped, while the client's answer still reaches the application. After CLOSE_TICKS it is over in any case.
5. A tunnel over which nothing went for `rest` ticks is left with 1001. It is looked at when that may be so; nothing is
   moved in the wheel because something was read.
6. `close` gets rid of every callback before any descriptor is closed; `over` is called at most once, and by no means
   after `close`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from socket import SocketType
from typing import Final

from passenger.request.flow import Backlog
from passenger.request.wheel import NEVER, ticks
from passenger.wire.websocket import GOING_AWAY, FrameBoundaries, close_frame

PIECE: Final = 64 * 1024
HALF_CLOSED_TICKS: Final = ticks(5.0)
CLOSE_TICKS: Final = ticks(3.0)


class Way:
    """One direction."""

    __slots__ = (
        "_backlog",
        "_broken",
        "_edit",
        "_ended",
        "_fd",
        "_is_open",
        "_loop",
        "_now",
        "_over",
        "_sink",
        "_source",
        "moved",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: SocketType,
        sink: SocketType,
        *,
        edit: Callable[[bytes], bytes] | None,
        now: Callable[[], int],
        over: Callable[[], None],
        broken: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._now = now
        self.moved = now()
        """The tick in which something went this way last."""
        self._source = source
        self._fd = source.fileno()
        self._sink = sink
        self._edit = edit
        self._over = over
        self._broken = broken
        self._backlog: Backlog | None = None
        self._ended = False
        """The source has sent everything."""
        self._is_open = True
        loop.add_reader(self._fd, self._on_readable)

    @property
    def is_over(self) -> bool:
        return not self._is_open

    def push(self, data: bytes) -> None:
        """Bytes for the sink, behind those that wait."""
        if not self._is_open or not data:
            return
        if self._backlog is not None:
            self._backlog.push(data)
            return
        try:
            sent = self._sink.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._broken()
            return
        if sent < len(data):
            self._backlog = Backlog(self._loop, self._sink, drained=self._drained, failed=self._broken)
            self._backlog.push(memoryview(data)[sent:])
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """Idempotent."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._fd)
            if self._backlog is not None:
                self._backlog.close()
                self._backlog = None

    def _on_readable(self) -> None:
        try:
            data = self._source.recv(PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self._broken()
            return
        if data:
            self.moved = self._now()
            self.push(data if self._edit is None else self._edit(data))
        else:
            self._ended = True
            self._loop.remove_reader(self._fd)
            if self._backlog is None:
                self._end()

    def _drained(self) -> None:
        self._backlog = None
        self.moved = self._now()
        if self._ended:
            self._end()
        else:
            self._loop.add_reader(self._fd, self._on_readable)

    def _end(self) -> None:
        self._is_open = False
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._broken()
        else:
            self._over()


class Tunnel:
    """Both directions. `web` stays the caller's, `app` is closed here."""

    __slots__ = (
        "_app",
        "_deadline",
        "_dropping",
        "_frames",
        "_leaving",
        "_now",
        "_over",
        "_rest",
        "_rush",
        "_to_app",
        "_to_web",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        web: SocketType,
        app: SocketType,
        is_websocket: bool,
        rest: int,
        now: Callable[[], int],
        rush: Callable[[], None],
        over: Callable[[], None],
    ) -> None:
        """`rest` in ticks, or NEVER. `now` tells the tick, `rush` is called when the deadline comes closer, `over` when
        nothing is left to do.
        """
        self._app = app
        self._rest = rest
        self._now = now
        self._rush = rush
        self._over = over
        self._frames = FrameBoundaries() if is_websocket else None
        self._leaving = 0
        """Status of the Close frame that has to go out; 0 = none."""
        self._dropping = False
        self._deadline = NEVER
        edit = self._edit if is_websocket else None
        self._to_web = Way(loop, app, web, edit=edit, now=now, over=self._way_over, broken=over)
        self._to_app = Way(loop, web, app, edit=None, now=now, over=self._way_over, broken=over)

    def begin(self, head: bytes, rest: bytes) -> None:
        """The head of the 101 response, and what came of the application behind it."""
        self._to_web.push(head + (self._edit(rest) if self._frames is not None and rest else rest))

    def allow_rest(self, rest: int) -> None:
        """A new limit."""
        if rest != self._rest:
            self._rest = rest
            self._rush()

    def due_at(self) -> int:
        """The tick at which to call `overdue`, or NEVER."""
        if self._rest == NEVER or self._leaving:
            return self._deadline
        rested = max(self._to_web.moved, self._to_app.moved) + self._rest
        return rested if self._deadline == NEVER else min(rested, self._deadline)

    def overdue(self) -> None:
        """It has a deadline that is over, or has rested for too long."""
        if self._deadline != NEVER and self._deadline <= self._now():
            self._over()
        else:
            self.leave(GOING_AWAY)

    def leave(self, status: int) -> None:
        """End it politely, if that is possible; the caller gives the reason."""
        if self._leaving:
            return
        self._leaving = status
        if self._frames is None:
            self._over()
            return
        self._hurry(CLOSE_TICKS)
        if self._frames.at_boundary and not self._frames.closing:
            self._dropping = True
            self._to_web.push(close_frame(status))

    def close(self) -> None:
        """Let go of both sockets. Idempotent."""
        self._to_web.close()
        self._to_app.close()
        self._app.close()

    def _edit(self, data: bytes) -> bytes:
        """What may go on to the client."""
        frames = self._frames
        if frames is None or self._dropping:
            return b""
        if not self._leaving or frames.closing:
            frames.follow(data)
            return data
        count = frames.finish(data)
        if not frames.at_boundary or frames.closing:
            frames.follow(data[count:])
            return data
        self._dropping = True
        return data[:count] + close_frame(self._leaving)

    def _way_over(self) -> None:
        if self._to_web.is_over and self._to_app.is_over:
            self._over()
        else:
            self._hurry(HALF_CLOSED_TICKS)

    def _hurry(self, most: int) -> None:
        at = self._now() + most
        if self._deadline == NEVER or at < self._deadline:
            self._deadline = at
            self._rush()
