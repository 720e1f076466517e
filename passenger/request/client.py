"""A Client: one connection from the web server, which is one request.

States:
    READING   the head is not whole yet
    QUEUED    waits for a session
    RUNNING   a process works on it
    ANSWERED  the response is whole and being flushed
    LINGERING the response went out, the rest of a request that came late is read and dropped
    CLOSED

Rules.
1. Malformed bytes are answered 400 or the connection is closed; never an exception, never another request (F3).
2. Every way out goes through `_finish` (response whole) or `cut` (everything else): see `abort`.
3. At most one of IncomingHead, Upload and _discard reads from the connection. Departures only learn of its end: a web
   server does not half-close, so whoever closes has gone.
4. A request is tried again with another process only while nothing of it was sent, at most MAX_ATTEMPTS times.
"""

from __future__ import annotations

import enum
import socket
from typing import TYPE_CHECKING, Final

from passenger.pool.session import Refusal, Session
from passenger.request import errorresponse
from passenger.request.abort import LOOK, complete, cut, look, take
from passenger.request.appconnection import AppConnection
from passenger.request.connecting import ConnectError, connect
from passenger.request.flow import Backlog
from passenger.request.incoming import IncomingHead
from passenger.request.upload import Upload
from passenger.request.wheel import NEVER, Rider, ticks
from passenger.wire.http1 import END
from passenger.wire.scgi import ScgiError, extent
from passenger.wire.scgi_head import parse_head
from passenger.wire.session import framed, request_head

if TYPE_CHECKING:
    from passenger.request.handler import RequestHandler

MAX_ATTEMPTS: Final = 10
SMALL_BODY: Final = 8 * 1024
"""A body up to this size that came with its head is sent on in one write with it."""
HEAD_TICKS: Final = ticks(20.0)
LINGER_TICKS: Final = ticks(5.0)
BUSY_RETRY: Final = 0.02
BUSY_RETRIES: Final = 100


class State(enum.Enum):
    READING = "reading"
    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    LINGERING = "lingering"
    CLOSED = "closed"


_READING, _QUEUED, _RUNNING = State.READING, State.QUEUED, State.RUNNING
_ANSWERED, _LINGERING, _CLOSED = State.ANSWERED, State.LINGERING, State.CLOSED


class Client:
    """One request of the web server."""

    __slots__ = (
        "_attempts",
        "_backlog",
        "_begun",
        "_body",
        "_body_left",
        "_busy_retries",
        "_connection",
        "_fd",
        "_handler",
        "_held",
        "_incoming",
        "_pairs",
        "_route",
        "_since",
        "_sock",
        "_state",
        "_upload",
        "_watched",
        "bodiless",
        "slot",
    )

    def __init__(self, handler: RequestHandler, sock: socket.socket) -> None:
        self._handler = handler
        self._sock = sock
        self._fd = sock.fileno()
        self._state = _READING
        self._held = 0
        """Bytes of the request that are left unread until the response is whole."""
        self._body = b""
        self._body_left = 0
        """Bytes of the request body that were not read yet and do not belong to `_held`."""
        self._begun = False
        """Response bytes went to the web server."""
        self._attempts = 0
        self._busy_retries = 0
        self._connection: AppConnection | None = None
        self._incoming: IncomingHead | None = None
        self._upload: Upload | None = None
        self._backlog: Backlog | None = None
        self._watched = False
        self.bodiless = False
        self.slot: dict[Rider, None] = {}
        self._since = 0
        handler.wheel.join(self)

    # The request comes in

    def start(self) -> None:
        """Look at what has arrived. The usual request is here whole."""
        try:
            data = look(self._sock)
        except BlockingIOError:
            self._read_slowly()
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        try:
            start, end = extent(data, self._handler.max_head)
            if not end or end > len(data):
                self._read_slowly()
            else:
                self._head_arrived(data, start, end)
        except ScgiError as error:
            self._malformed(error)

    def _read_slowly(self) -> None:
        self._since = self._handler.wheel.now
        self._incoming = IncomingHead(
            self._handler.loop,
            self._sock,
            max_head=self._handler.max_head,
            arrived=self._slow_head_arrived,
            failed=self._slow_head_failed,
        )

    def _slow_head_arrived(self, netstring: bytes) -> None:
        self._incoming = None
        try:
            self._handler.guarded(self, self._slow_head, netstring)
        except ScgiError as error:
            self._malformed(error)

    def _slow_head(self, netstring: bytes) -> None:
        """All of the head was taken but its comma: take that too if a body follows, else hold it."""
        start, end = extent(netstring, self._handler.max_head)
        self._held = 1 - end
        self._head_arrived(netstring, start, end)

    def _slow_head_failed(self, error: ScgiError | None) -> None:
        self._incoming = None
        if error is None:
            self._close()
        else:
            self._malformed(error)

    def _head_arrived(self, data: bytes, start: int, end: int) -> None:
        """The head is data[start : end - 1]; `_held` is minus the number of bytes of it that were taken already."""
        if data[end - 1] != 0x2C:
            raise ScgiError("the request head does not end with a comma")
        handler = self._handler
        head = parse_head(data[start : end - 1], handler.secret)
        route = handler.routes.get(head.app)
        self._held += end
        if route is None:
            self._no_route(head.app)
            return
        self._route = route
        self._pairs = request_head(head, route.base_uri)
        self.bodiless = head.method == b"HEAD"
        arrived = len(data) - end
        if arrived > head.length:
            raise ScgiError("bytes follow the request")
        if head.length:
            if arrived == head.length <= SMALL_BODY:
                self._body = data[end:]
                self._held += arrived
            else:
                take(self._sock, self._held)
                self._held = 0
                self._body_left = head.length
        self._state = _QUEUED
        self._since = handler.wheel.now
        if self.slot is not handler.wheel.fresh:
            handler.wheel.move(self)
            self.aged()
        handler.pool.get(route.name, self)

    def _no_route(self, app: bytes) -> None:
        name = app.decode("latin-1")
        if name.startswith(":"):
            self._answer(errorresponse.plain(*self._handler.probes(name[1:])))
        else:
            self._handler.events.warn("request for an application that is not configured", app=name)
            self._answer(errorresponse.error(503))

    def _malformed(self, error: ScgiError) -> None:
        self._handler.count_malformed(error.message)
        self._held = LOOK  # what has come is taken after the answer, so that a reset does not overtake it
        self._answer(errorresponse.error(400))

    # A process takes it

    def session_granted(self, session: Session) -> None:
        """Waiter: send the request over a parked connection, or a new one."""
        self._state = _RUNNING
        self._since = self._handler.wheel.now
        data = framed(self._pairs, session.process.connect_password.encode())
        if self._body:
            data += self._body
        idle = session.socket.idle
        while idle:
            connection = idle.pop()
            if isinstance(connection, AppConnection) and self._begin(connection, session, data):
                return
        self._connect(session, data)

    def session_refused(self, refusal: Refusal) -> None:
        """Waiter: there will be no session."""
        self._answer(errorresponse.refused(refusal, self._route))

    def _begin(self, connection: AppConnection, session: Session, data: bytes) -> bool:
        if not connection.begin(self, session, data, body_due=self._body_left > 0):
            return False
        self._connection = connection
        if self._body_left:
            self._upload = Upload(self._handler.loop, self._sock, self._body_left, connection, self)
        return True

    def _connect(self, session: Session, data: bytes) -> None:
        handler = self._handler
        if self._state is not _RUNNING:  # it left, or was cut, while the queue of the process was full
            handler.pool.release(session)
            return
        try:
            sock = connect(session.process, session.socket)
        except ConnectError as error:
            self._not_connected(session, data, error)
            return
        connection = AppConnection(
            handler.loop, sock, session.socket, pool=handler.pool, log=handler.events, opened=handler.connections
        )
        if not self._begin(connection, session, data):
            self._not_connected(session, data, ConnectError("it closed the connection at once"))

    def _not_connected(self, session: Session, data: bytes, error: ConnectError) -> None:
        handler = self._handler
        if error.passing and self._busy_retries < BUSY_RETRIES:
            self._busy_retries += 1
            handler.loop.call_later(BUSY_RETRY, self._connect, session, data)
        elif error.passing:
            handler.events.warn("application process cannot be reached", pid=session.process.pid, reason=str(error))
            self._answer(errorresponse.error(503, route=self._route, reason=str(error)))
            handler.pool.release(session)
        else:
            self._attempts += 1
            again = self._attempts < MAX_ATTEMPTS
            self._state = _QUEUED
            handler.events.warn("application process cannot be reached", pid=session.process.pid, reason=str(error))
            handler.pool.connection_failed(session, str(error))
            if again:
                handler.pool.get(self._route.name, self)
            else:
                self._answer(errorresponse.error(502, route=self._route, reason=str(error)))

    def uploading(self) -> None:
        self._since = self._handler.wheel.now

    def upload_complete(self) -> None:
        self._upload = None
        self._body_left = 0
        self._held = 1
        self._since = self._handler.wheel.now

    def request_taken(self) -> None:
        if self._upload is not None:
            self._upload.resume()

    # The response goes out

    def deliver(self, data: bytes) -> bool:
        """Response bytes. False = wait: the connection to the process is resumed later."""
        self._begun = True
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

    def response_complete(self) -> None:
        self._connection = None
        self._state = _ANSWERED
        if self._backlog is None:
            self._finish()

    def response_failed(self, reason: str) -> None:
        self._connection = None
        if self._begun:
            self.cut()
        else:
            self._answer(errorresponse.error(502, route=self._route, reason=reason))

    def _answer(self, data: bytes) -> None:
        """A whole response of our own."""
        if self._state is _CLOSED:
            return
        if self.bodiless:
            data = data[: data.index(END) + len(END)]
        self._state = _ANSWERED
        if self.deliver(data) and self._state is _ANSWERED:
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
            return
        self._detach()
        complete(self._sock, self._held)
        self._handler.closed()

    def _linger(self) -> None:
        """Much of the request is still to come: let the web server read the response before the connection goes."""
        if self._upload is not None:
            self._upload.close()
            self._upload = None
        self._unwatch()
        self._state = _LINGERING
        self._since = self._handler.wheel.now
        self._handler.wheel.move(self)
        self._sock.shutdown(socket.SHUT_WR)
        self._handler.loop.add_reader(self._fd, self._discard)

    def _discard(self) -> None:
        try:
            if take(self._sock, 256 * 1024):
                return
        except BlockingIOError:
            return
        except OSError:  # a reset: it has gone as well
            self._held = 0
        self._close()

    def left(self) -> None:
        """The web server has gone, because its client has."""
        self._watched = False
        connection, queued = self._connection, self._state is _QUEUED
        self._handler.aborted += 1
        self._close()
        if connection is not None:
            connection.client_left()
        elif queued:
            self._handler.pool.forget(self)

    def cut(self) -> None:
        """Give up: the web server must not take what it got as a whole response."""
        if self._state is not _CLOSED:
            self.left()

    def _close(self) -> None:
        self._detach()
        cut(self._sock)
        self._handler.closed()

    def _detach(self) -> None:
        """Nothing of the loop refers to the connection any more."""
        if self._state is _LINGERING:
            self._handler.loop.remove_reader(self._fd)
        self._state = _CLOSED
        self._connection = None
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None
        if self._upload is not None:
            self._upload.close()
            self._upload = None
        if self._backlog is not None:
            self._backlog.close()
            self._backlog = None
        self._unwatch()
        self._handler.wheel.leave(self)

    # Time

    def aged(self) -> None:
        """The request is older than a tick: from now on its client may be missed."""
        if not self._watched and self._state in (_QUEUED, _RUNNING, _ANSWERED):
            self._watched = True
            self._handler.departures.watch(self._fd, self.left)

    def due_at(self) -> int:
        if self._state is _READING:
            return self._since + HEAD_TICKS
        if self._state is _LINGERING:
            return self._since + LINGER_TICKS
        if self._begun or self._route.response_ticks == NEVER:
            return NEVER
        return self._since + self._route.response_ticks

    def overdue(self) -> None:
        if self._state is _READING or self._state is _LINGERING:
            self._close()
            return
        connection, queued = self._connection, self._state is _QUEUED
        self._connection = None
        self._answer(errorresponse.error(504, route=self._route, reason="The response timeout is over."))
        self._handler.events.warn("response timeout", app=self._route.name, state="queued" if queued else "running")
        if connection is not None:
            connection.client_left()
        elif queued:
            self._handler.pool.forget(self)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._handler.departures.forget(self._fd)
