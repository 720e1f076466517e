"""A request that asks for another protocol (WebSocket): one connection of `request_http`.

It is a Client whose head is HTTP instead of SCGI. Until the process answers everything is as for any other request:
queue, timeouts, departure, error pages, a cut response. After a 101 it is a tunnel, and still a session of the pool.

Rules.
1. The head is left unread (all of it, or its last byte) until the response is whole or the tunnel begins (`abort`).
2. A process that speaks the session protocol cannot switch: it gets the same request without the upgrade.
3. On a drain the tunnel ends with 1001, when its process is retired with 1012; see `Tunnel.leave`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from socket import SocketType
from typing import TYPE_CHECKING, Final

from passenger.pool.session import Session
from passenger.request import errorresponse
from passenger.request.abort import take
from passenger.request.admitted import with_line
from passenger.request.appconnection import AppConnection
from passenger.request.client import Client
from passenger.request.incoming import IncomingUpgrade
from passenger.request.observed import ANSWERED
from passenger.request.tunnel import Tunnel
from passenger.request.upgradeconnection import UpgradeConnection
from passenger.request.webconnection import State
from passenger.request.wheel import NEVER
from passenger.wire.http1 import END
from passenger.wire.scgi import ScgiError
from passenger.wire.scgi_head import Head
from passenger.wire.session import request_head
from passenger.wire.upgrade_head import parse_upgrade
from passenger.wire.websocket import GOING_AWAY, SERVICE_RESTART

if TYPE_CHECKING:
    from passenger.request.handler import RequestHandler
    from passenger.request.routes import Route

WEBSOCKET: Final = b"websocket"


class UpgradeClient(Client):
    """One upgrade request, then its tunnel."""

    __slots__ = ("_protocol", "_session", "_tunnel")

    incoming = IncomingUpgrade

    def __init__(self, handler: RequestHandler, sock: SocketType) -> None:
        super().__init__(handler, sock)
        self._protocol = b""
        self._tunnel: Tunnel | None = None
        self._session: Session | None = None
        """That of the tunnel."""

    # The request comes in

    def _first_look(self, data: bytes) -> None:
        if END in data:
            self._held = len(data)
            self._asked(data)
        else:
            self._read_slowly()

    def _slow_head(self, head: bytes) -> None:
        self._held = 1
        self._asked(head)

    def _asked(self, data: bytes) -> None:
        handler = self._handler
        asked = parse_upgrade(data, handler.secret)
        route = handler.routes.get(asked.head.app)
        if route is None:
            self._no_route(asked.head)
            return
        self._route = route
        self._protocol = asked.protocol
        self._pairs = request_head(asked.head, route.base_uri)
        self._queue()

    def _no_route(self, head: Head) -> None:
        app = head.app.decode("latin-1")
        self._handler.events.warn("upgrade for an application that is not configured", app=app)
        self.answer(errorresponse.error(503))

    # A process takes it

    def session_granted(self, session: Session) -> None:
        if session.socket.protocol == "session":
            super().session_granted(session)
            return
        self._state = State.RUNNING
        wheel = self._handler.wheel
        self._granted = self._since = wheel.now
        if self._seen is not None:
            self._seen.granted, self._seen.pid = self._handler.monotonic(), session.process.pid
        if self._route.request_ticks != NEVER:
            self._granted = wheel.true_now()
            wheel.move(self)
        door = self._route.door
        if door is not None:
            session = self._admitted(door, session)
        try:
            data = self._handler.heads.head(self._pairs, self._protocol)
        except ScgiError as error:
            self._handler.pool.release(session)
            self._malformed(error)
            return
        self._connect(session, data)

    def _connected(self, sock: socket.socket, session: Session) -> AppConnection:
        if session.socket.protocol == "session":
            return super()._connected(sock, session)
        handler = self._handler
        return UpgradeConnection(
            handler.loop,
            sock,
            session.socket,
            wheel=handler.wheel,
            pool=handler.pool,
            log=handler.events,
            opened=handler.connections,
            protocol=self._protocol,
            switcher=self,
        )

    # The tunnel

    def switched(self, sock: socket.socket, session: Session, head: bytes, rest: bytes) -> None:
        """Switcher."""
        handler = self._handler
        self._connection = None
        self._unwatch()
        self._state = State.TUNNELLED
        self._begun = True
        if self._seen is not None:
            self._seen.status, self._seen.ending = head[self.status_place], ANSWERED
        self._session = session
        take(self._sock, self._held)
        self._held = 0
        self._tunnel = tunnel = Tunnel(
            handler.loop,
            web=self._sock,
            app=sock,
            is_websocket=self._protocol.lower() == WEBSOCKET,
            rest=self._route.rest_ticks,
            now=lambda: handler.wheel.now,
            rush=lambda: handler.wheel.move(self),
            over=self._tunnel_over,
        )
        handler.wheel.move(self)
        handler.tunnels[self] = None
        handler.upgraded += 1
        session.process.upgraded[self] = None
        line = self._cookie_line(session)
        tunnel.begin(with_line(head, line) if line else head, rest)
        if handler.is_draining:
            self.drain()
        elif not session.process.takes_requests():
            self.process_leaves()

    def drain(self) -> None:
        """The core takes nothing new and waits for what runs."""
        if self._tunnel is not None:
            self._tunnel.leave(GOING_AWAY)

    def configured(self, routes: Mapping[bytes, Route]) -> None:
        """A new configuration is in force; what it says about an application that is gone concerns nobody."""
        route = routes.get(self._route.name.encode())
        if self._tunnel is not None and route is not None:
            self._tunnel.allow_rest(route.rest_ticks)

    def process_leaves(self) -> None:
        """LongSession: the process is to end."""
        if self._tunnel is not None:
            self._tunnel.leave(SERVICE_RESTART)

    def _tunnel_over(self) -> None:
        self._handler.handled += 1
        self._end_tunnel()

    def left(self) -> None:
        if self._tunnel is None:
            super().left()
        else:
            self._end_tunnel()

    def _end_tunnel(self) -> None:
        session = self._session
        self._close()
        if session is not None:
            self._session = None
            del session.process.upgraded[self]
            del self._handler.tunnels[self]
            self._handler.pool.release(session)

    def _stop_reading(self) -> None:
        super()._stop_reading()
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None

    # Time

    def due_at(self) -> int:
        return super().due_at() if self._tunnel is None else self._tunnel.due_at()

    def overdue(self) -> None:
        if self._tunnel is None:
            super().overdue()
        else:
            self._tunnel.overdue()
