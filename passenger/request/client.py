"""A Client: one connection from the web server, which is one request. Here: the request, and who serves it.

Rules.
1. Malformed bytes are answered 400 or the connection is closed; never an exception, never another request (F3).
2. At most one of IncomingHead, Upload and `_discard` reads from the connection.
3. A request is tried again with another process only while nothing of it was sent, at most MAX_ATTEMPTS times (A2).
4. Its deadlines, and what else may end it early, are in `timed`; what an application may have special in `admitted`.
"""

from __future__ import annotations

import socket
from socket import SocketType
from typing import TYPE_CHECKING, Any, Final

from passenger.pool.session import Refusal, Session
from passenger.request import errorresponse
from passenger.request.abort import LOOK, look, take
from passenger.request.admitted import AdmittedRequest
from passenger.request.appconnection import AppConnection
from passenger.request.connecting import ConnectError, connect
from passenger.request.httpconnection import HttpConnection
from passenger.request.incoming import IncomingHead
from passenger.request.observed import Seen
from passenger.request.upload import Upload
from passenger.request.visit import Visit
from passenger.request.webconnection import State
from passenger.request.wheel import NEVER
from passenger.wire.scgi import ScgiError, extent
from passenger.wire.scgi_head import Head, parse_head
from passenger.wire.session import framed, request_head

if TYPE_CHECKING:
    from passenger.request.handler import RequestHandler

MAX_ATTEMPTS: Final = 10
SMALL_BODY: Final = 8 * 1024
"""A body up to this size that came with its head is sent on in one write with it."""
BUSY_RETRY: Final = 0.02
BUSY_RETRIES: Final = 100

_QUEUED, _RUNNING, _ANSWERED = State.QUEUED, State.RUNNING, State.ANSWERED


class Client(AdmittedRequest):
    """One request of the web server."""

    __slots__ = ("_attempts", "_body", "_busy_retries", "_incoming", "_upload")

    incoming = IncomingHead

    def __init__(self, handler: RequestHandler, sock: SocketType) -> None:
        super().__init__(handler, sock)
        self._body = b""
        """The request body, when it is small and came with its head."""
        self._attempts = 0
        self._busy_retries = 0
        self._incoming: IncomingHead | None = None
        self._upload: Upload | None = None
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
            self._first_look(data)
        except ScgiError as error:
            self._malformed(error)

    def _first_look(self, data: bytes) -> None:
        start, end = extent(data, self._handler.max_head)
        if not end or end > len(data):
            self._read_slowly()
        else:
            self._head_arrived(data, start, end)

    def _read_slowly(self) -> None:
        self._since = self._handler.wheel.now
        if self._handler.observers:
            self._seen = Seen()
            self._seen.arrived = self._handler.monotonic()
        self._incoming = self.incoming(
            self._handler.loop,
            self._sock,
            max_head=self._handler.max_head,
            arrived=self._slow_head_arrived,
            failed=self._slow_head_failed,
        )

    def _slow_head_arrived(self, head: bytes) -> None:
        self._incoming = None
        try:
            self._handler.guarded(self, self._slow_head, head)
        except ScgiError as error:
            self._malformed(error)

    def _slow_head(self, head: bytes) -> None:
        """All of the netstring was taken but its comma: take that too if a body follows, else hold it."""
        start, end = extent(head, self._handler.max_head)
        self._held = 1 - end
        self._head_arrived(head, start, end)

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
        head = parse_head(data[start : end - 1], handler.secret, handler.shapes)
        route = handler.routes.get(head.app)
        self._held += end
        if route is None:
            self._no_route(head)
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
        self._queue()

    def _queue(self) -> None:
        """The head is whole: ask for a process."""
        handler = self._handler
        self._state = _QUEUED
        self._since = handler.wheel.now if self._route.queue_ticks == NEVER else handler.wheel.true_now()
        if self.slot is not handler.wheel.fresh:
            handler.wheel.move(self)
            self.aged()
        if handler.observers:
            self._note_asked(handler)
        door = self._route.door
        if door is None:
            handler.pool.get(self._route.name, self)
        else:
            self._enter(door)

    def _note_asked(self, handler: RequestHandler) -> None:
        """Somebody watches."""
        now = handler.monotonic()
        seen = self._seen
        if seen is None:
            self._seen = seen = Seen()
        seen.asked = now
        seen.app = self._route.name
        if self._body_left or self._body:
            seen.received = self._body_left or len(self._body)
        if handler.tracer is not None:
            self._pairs = handler.tracer(seen, self._pairs)

    def _no_route(self, head: Head) -> None:
        name = head.app.decode("latin-1")
        if desk := self._handler.desks.get(name[1:]) if name.startswith(":") else None:
            self._since = self._handler.wheel.now
            if head.length:
                take(self._sock, self._held)
                self._held, self._body_left = 0, head.length
            desk(Visit(self, head))
        elif page := self._handler.pages.get(name[1:]) if name.startswith(":") else None:
            self._since = self._handler.wheel.now
            page(self.answer)
        elif name.startswith(":"):
            self.answer(errorresponse.plain(*self._handler.probes(name[1:])))
        else:
            self._handler.events.warn("request for an application that is not configured", app=name)
            self.answer(errorresponse.error(503))

    def _malformed(self, error: ScgiError) -> None:
        self._handler.count_malformed(error.message)
        self._held = LOOK  # what has come is taken after the answer, so that a reset does not overtake it
        self.answer(errorresponse.error(400))

    # A process takes it

    def session_granted(self, session: Session) -> None:
        """Waiter: send the request over a parked connection, or a new one."""
        self._state = _RUNNING
        wheel = self._handler.wheel
        self._granted = self._since = wheel.now
        seen = self._seen
        if seen is not None:
            seen.granted = self._handler.monotonic()
            seen.pid = session.process.pid
        if self._route.request_ticks != NEVER:
            self._granted = wheel.true_now()
            wheel.move(self)
        door = self._route.door
        if door is not None:
            session = self._admitted(door, session)
        try:
            data = self._encoded(session)
        except ScgiError as error:
            self._handler.pool.release(session)
            self._malformed(error)
            return
        if self._body:
            data += self._body
        idle = session.socket.idle
        while idle:
            connection = idle.pop()
            if isinstance(connection, AppConnection) and self._begin(connection, session, data):
                return
        self._connect(session, data)

    def _encoded(self, session: Session) -> bytes:
        """The head in the words of the socket."""
        if session.socket.protocol == "session":
            return framed(self._pairs, session.process.connect_password.encode())
        return self._handler.heads.head(self._pairs)

    def session_refused(self, refusal: Refusal) -> None:
        """Waiter: there will be no session."""
        if self._seen is not None:
            self._seen.refusal = refusal.reason
        self.answer(errorresponse.refused(refusal, self._route, self.request_id))

    def _begin(self, connection: AppConnection, session: Session, data: bytes) -> bool:
        taker = self if self._route.door is None else self._taker(session)
        if not connection.begin(taker, session, data, body_due=self._body_left > 0):
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
        if not self._begin(self._connected(sock, session), session, data):
            self._not_connected(session, data, ConnectError("it closed the connection at once"))

    def _connected(self, sock: socket.socket, session: Session) -> AppConnection:
        handler = self._handler
        place = session.socket
        parts: dict[str, Any] = {"pool": handler.pool, "log": handler.events, "opened": handler.connections}
        if place.protocol == "session":
            return AppConnection(handler.loop, sock, place, **parts)
        return HttpConnection(handler.loop, sock, place, wheel=handler.wheel, **parts)

    def _not_connected(self, session: Session, data: bytes, error: ConnectError) -> None:
        handler = self._handler
        if error.passing and self._busy_retries < BUSY_RETRIES:
            self._busy_retries += 1
            handler.loop.call_later(BUSY_RETRY, self._connect, session, data)
        elif error.passing:
            self._unreachable(session, error)
            self.answer(errorresponse.error(503, route=self._route, reason=str(error), request_id=self.request_id))
            handler.pool.release(session)
        else:
            self._attempts += 1
            again = self._attempts < MAX_ATTEMPTS
            self._state = _QUEUED
            self._unreachable(session, error)
            handler.pool.connection_failed(session, str(error))
            if again:
                self._ask()
            else:
                self.answer(errorresponse.error(502, route=self._route, reason=str(error), request_id=self.request_id))

    def _unreachable(self, session: Session, error: ConnectError) -> None:
        self._handler.events.warn(
            "application process cannot be reached",
            app=self._route.name,
            pid=session.process.pid,
            reason=str(error),
            request_id=self.request_id,
        )

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

    # The process answers

    def response_complete(self) -> None:
        self._connection = None
        self._state = _ANSWERED
        if self._backlog is None:
            self._finish()
        else:
            self._note_served()

    def response_failed(self, reason: str) -> None:
        self._connection = None
        self._note_served()
        if self._begun:
            self.cut()
        else:
            self.answer(errorresponse.error(502, route=self._route, reason=reason, request_id=self.request_id))

    def _note_served(self) -> None:
        if self._seen is not None:
            self._seen.served = self._handler.monotonic()

    # Ends

    def _stop_reading(self) -> None:
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None
        if self._upload is not None:
            self._upload.close()
            self._upload = None
