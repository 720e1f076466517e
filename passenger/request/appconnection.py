"""A connection to an application process: one exchange at a time, kept alive between them.

States: IDLE (parked on its Socket) -> BUSY (an exchange) -> IDLE or CLOSED.

Rules.
1. It is parked again only after a clean, complete, exactly framed exchange without surplus bytes whose request was
   taken whole (A12); before it is reused it must be silent and open.
2. A request is never sent a second time: `begin` returns False only when not one byte of it was sent (A2).
3. The session is released exactly once, as the last thing an exchange does: the pool may begin the next one there.
4. When the client has left, the rest of the response is read and dropped, so that the place becomes free when the
   process is free. After DROPPED_LIMIT more bytes it is an endless stream: the connection is closed (E7).
5. No exception leaves a callback.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import TYPE_CHECKING, Final

from passenger.log import Log
from passenger.pool.session import Session
from passenger.request.flow import Backlog
from passenger.request.sessions import ResponseTaker, SessionPool
from passenger.wire.http1 import BadResponse
from passenger.wire.response import ResponseReader

if TYPE_CHECKING:
    from passenger.pool.model import Socket

READ: Final = 64 * 1024
DROPPED_LIMIT: Final = 64 * 1024
SHOWN: Final = 256
"""Bytes of a response that is none that are logged."""


class AppConnection:
    """One connected stream socket and the exchange that runs over it."""

    __slots__ = (
        "_backlog",
        "_body_due",
        "_client",
        "_dropped",
        "_fd",
        "_log",
        "_loop",
        "_opened",
        "_paused",
        "_pool",
        "_quiet",
        "_reader",
        "_session",
        "_sock",
        "_socket",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        place: Socket,
        *,
        pool: SessionPool,
        log: Log,
        opened: set[AppConnection],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._socket = place
        self._pool = pool
        self._log = log
        self._reader = ResponseReader()
        self._client: ResponseTaker | None = None
        self._session: Session | None = None
        self._backlog: Backlog | None = None
        self._body_due = False
        self._paused = False
        self._dropped = 0
        self._quiet = select.poll()
        self._quiet.register(self._fd, select.POLLIN | select.POLLRDHUP)
        self._opened = opened
        opened.add(self)
        loop.add_reader(self._fd, self._on_readable)

    @property
    def pid(self) -> int | None:
        """Of the process that works on an exchange now."""
        return None if self._session is None else self._session.process.pid

    @property
    def session(self) -> Session | None:
        """That of the exchange that is going on."""
        return self._session

    @property
    def name(self) -> str:
        """What a process that takes interrupts calls it; "" when it has no name."""
        address = self._sock.getsockname() if self._fd >= 0 else ""
        return address[1:].decode("latin-1") if isinstance(address, bytes) and address[:1] == b"\0" else ""

    # An exchange, as its client drives it

    def begin(self, client: ResponseTaker, session: Session, data: bytes, *, body_due: bool) -> bool:
        """Send a request; `body_due` = `send_body` will bring the rest of it. False = unusable, nothing was sent."""
        if self._fd < 0 or self._quiet.poll(0):
            self.close()
            return False
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return False
        self._client = client
        self._session = session
        self._body_due = body_due
        self._reader.reset(bodiless=client.bodiless)
        if sent < len(data):
            self._wait_until_writable(memoryview(data)[sent:])
        return True

    def send_body(self, data: bytes, *, last: bool) -> bool:
        """More of the request body. False = wait for `request_taken` before the next piece."""
        if self._fd < 0:
            return True
        self._body_due = not last
        if self._backlog is not None:
            self._backlog.push(data)
            return False
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # it may have answered without reading the body: what it says comes through the reader
            self._body_due = True
            return True
        if sent == len(data):
            return True
        self._wait_until_writable(memoryview(data)[sent:])
        return False

    def resume(self) -> None:
        """The client takes bytes again."""
        if self._paused and self._fd >= 0:
            self._paused = False
            self._loop.add_reader(self._fd, self._on_readable)

    def client_left(self) -> None:
        """Nobody wants the response any more; a request body that is not whole ends here."""
        self._client = None
        self.resume()
        if self._body_due and self._fd >= 0:
            self._drop_backlog()
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError:
                self._over(keep=False)

    def call_off(self, *, told: bool) -> None:
        """The request has run too long; `told`: the process knows, and will end it.

        The connection carries no further request, so an interruption that comes late meets none.
        """
        if told and self._socket.protocol == "http_session":
            self._client = None  # it must not see us leave: then it would forget by which name it was told
            self.resume()
            self._drop_backlog()
        else:
            self.client_left()
        self._body_due = True  # as if some of the request were missing for ever: see rule 1

    def close(self) -> None:
        """Close the connection (the pool calls this on idle ones of a process that leaves). Idempotent."""
        if self._fd >= 0:
            self._drop_backlog()
            self._released().close()

    def abandon(self) -> None:
        """The core stops at once: close, whatever is going on."""
        self._fail("the core stops")

    # Events

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(str(error))
            return
        try:
            if self._session is None:
                self._leave_idle()
            elif data:
                self._received(data)
            elif self._reader.ended():
                self._over(keep=False)
            else:
                self._lost("it closed the connection")
        except Exception as error:  # a defect of ours must end this exchange only, not the core
            self._log.error("defect while a response was read", error=repr(error))
            self._fail("the core failed")

    def _received(self, data: bytes) -> None:
        reader = self._reader
        try:
            out = reader.feed(data)
        except BadResponse as error:
            shown = (reader.received or data)[:SHOWN].decode("latin-1")
            self._warn(error.message, shown)
            self._fail(error.message)
            return
        if self._client is None:
            self._drop(len(data))
        elif out and not self._client.deliver(out) and not reader.complete and self._client is not None:
            self._paused = True
            self._loop.remove_reader(self._fd)
        if reader.complete and self._session is not None:
            self._over(keep=reader.reusable and not reader.surplus)

    def _lost(self, reason: str) -> None:
        """The stream ended where it should not have."""
        if self._session is None:
            self._leave_idle()
        else:
            if self._client is not None:
                self._warn(f"the response ended early: {reason}", "")
            self._fail(f"The application ended the response early: {reason}")

    def _on_write_error(self) -> None:
        """The process takes no more of the request; it may still answer, so only the writing ends."""
        self._backlog = None
        self._body_due = True
        if self._client is not None:
            self._client.request_taken()

    def _on_written(self) -> None:
        self._backlog = None
        if self._client is not None:
            self._client.request_taken()

    # Ends

    def _over(self, *, keep: bool) -> None:
        """The response is whole."""
        client, session = self._client, self._session
        wishes = self._reader.wishes_errand
        self._client = self._session = None
        if keep and not self._body_due and self._backlog is None:
            self._dropped = 0
            self.resume()
            self._park()
        else:
            self.close()
        if client is not None:
            client.response_complete()
        if session is not None:
            self._pool.release(session)
            if wishes and session.process.takes_errands:
                self._pool.ask_errand(session.process)

    def _fail(self, reason: str) -> None:
        """There will be no whole response."""
        client, session = self._client, self._session
        self._client = self._session = None
        self.close()
        if client is not None:
            client.response_failed(reason)
        if session is not None:
            self._pool.release(session)

    def _drop(self, count: int) -> None:
        self._dropped += count
        if self._dropped > DROPPED_LIMIT and not self._reader.complete:
            self._over(keep=False)

    def _released(self) -> socket.socket:
        """The socket, of which the loop knows nothing any more."""
        if not self._paused:
            self._loop.remove_reader(self._fd)
        self._fd = -1
        self._opened.discard(self)
        return self._sock

    def _park(self) -> None:
        self._socket.idle.append(self)

    def _leave_idle(self) -> None:
        if self in self._socket.idle:
            self._socket.idle.remove(self)
        self.close()

    def _wait_until_writable(self, rest: memoryview) -> None:
        self._backlog = Backlog(self._loop, self._sock, drained=self._on_written, failed=self._on_write_error)
        self._backlog.push(rest)

    def _drop_backlog(self) -> None:
        if self._backlog is not None:
            self._backlog.close()
            self._backlog = None

    def _warn(self, message: str, shown: str) -> None:
        session = self._session
        if session is not None:
            process = session.process
            fields: dict[str, object] = {"app": process.group.name, "pid": process.pid}
            if self._client is not None:
                fields["request_id"] = self._client.request_id
            if shown:
                fields["received"] = shown
            self._log.warn(f"application process: {message}", **fields)
