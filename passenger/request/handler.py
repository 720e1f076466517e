"""The RequestHandler: takes connections of the web server and gives each to a Client.

Rules.
1. On the steady path a request costs callbacks only: no task, future, timer or log line.
2. Only users on the list may connect (SO_PEERCRED), and only with the connect secret (fault matrix F10).
3. Out of descriptors, accepting pauses and is tried again; it never spins (D2).
4. One bad request never ends the core: what escapes a Client is logged, and that client is cut.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Collection, Mapping
from socket import SocketType
from typing import Any, Final

from passenger.clock import Clock
from passenger.config.model import App
from passenger.config.units import KIB
from passenger.log import Log
from passenger.request.appconnection import AppConnection
from passenger.request.client import Client
from passenger.request.connecting import peer
from passenger.request.departure import Departures
from passenger.request.observed import ANSWERED, RequestObserver, RequestTracer, Seen
from passenger.request.routes import routes_of
from passenger.request.sessions import SessionPool
from passenger.request.timekeeper import Timekeeper
from passenger.request.traffic import Traffic
from passenger.request.upgrade import UpgradeClient
from passenger.request.visit import Visit
from passenger.request.webconnection import WebConnection
from passenger.request.wheel import Wheel
from passenger.wire.http_request import RequestHeads
from passenger.wire.scgi import ScgiError
from passenger.wire.scgi_head import Shapes
from passenger.wire.status import RequestStatus

ACCEPT_BATCH: Final = 32
FULL_BATCHES: Final = 8
ACCEPT_PAUSE: Final = 0.1
QUIET: Final = 1.0
"""Seconds before the same complaint about requests is logged again."""
Page = Callable[[Callable[[bytes], None]], None]
"""Is given whom to tell the whole response; says it once, now or later."""
Desk = Callable[[Visit], None]
"""Answers a visit, now or later."""
_SHORTAGE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class RequestHandler:
    """Connections in, requests to the pool. `loop`, `pool`, `wheel`, ... are there for its Clients."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        pool: SessionPool,
        apps: Mapping[str, App],
        connect_secret: bytes,
        allowed_uids: Collection[int],
        clock: Clock,
        log: Log,
        probes: Callable[[str], tuple[int, str]],
        max_head: int = 256 * KIB,
    ) -> None:
        if not connect_secret:
            raise ValueError("the connect secret is empty: anybody could connect")
        self.loop = loop
        self.pool = pool
        self.secret = connect_secret
        self.events = log
        self.probes = probes
        self.max_head = max_head
        self.shapes = Shapes()
        self.heads = RequestHeads()
        self._apps = apps
        self._pages: Mapping[str, bytes] = {}
        self.traffic = Traffic(self._find_routes)
        self._find_routes()
        self.wheel = Wheel(loop, clock)
        self.departures = Departures(loop)
        self.timekeeper = Timekeeper(self)
        self.connections: set[AppConnection] = set()
        """Open ones, parked and in use."""
        self.tunnels: dict[UpgradeClient, None] = {}
        self.observers: tuple[RequestObserver, ...] = ()
        self.tracer: RequestTracer | None = None
        self.pages: dict[str, Page] = {}
        """Pages of ours by name, asked for like probes, whose answer takes a while."""
        self.desks: dict[str, Desk] = {}
        """Pages of ours by name that want to know what they are asked."""
        self.leaving: list[Callable[[], None]] = []
        """Called when responses without an end have to end."""
        self.is_draining = False
        self.active = 0
        self.handled = 0
        self.upgraded = 0
        self.malformed = 0
        self.aborted = 0
        self._clock = clock
        self.monotonic = clock.monotonic
        self._allowed = frozenset(allowed_uids)
        self._listeners: dict[socket.socket, type[Client]] = {}
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._drained: Callable[[], None] | None = None
        self._complaints: set[str] = set()
        self._complained_at = -1.0
        self._batch = 1
        self._full_batches = 0

    def listen(self, sock: socket.socket, kind: type[Client] = Client) -> None:
        """Take connections from a listening Unix socket, each for a `kind` of client. The socket stays the caller's."""
        sock.setblocking(False)
        self._listeners[sock] = kind
        self.loop.add_reader(sock.fileno(), self._on_connections, sock)

    def observe(self, observer: RequestObserver) -> None:
        """Tell it of each request that comes from now on, at its end."""
        self.observers = (*self.observers, observer)

    def observe_no_more(self, observer: RequestObserver) -> None:
        """Tell it of none any more; without observers nothing is kept of a request."""
        self.observers = tuple(known for known in self.observers if known != observer)

    def apply(self, apps: Mapping[str, App]) -> None:
        """New configuration: requests that come from now on see it, and tunnels that are open."""
        self._apps = apps
        self._find_routes()
        self.traffic.only(apps)
        for tunnel in self.tunnels:
            tunnel.configured(self.routes)

    def show(self, pages: Mapping[str, bytes]) -> None:
        """Own error pages of applications, by name."""
        self._pages = pages
        self._find_routes()

    def _find_routes(self) -> None:
        self.routes = routes_of(self._apps, self._pages, self.traffic.gates)

    def stop_accepting(self, drained: Callable[[], None]) -> None:
        """Take what has connected already, then no more. `drained` is called once, when the last request is over."""
        for sock in self._listeners:
            self._pause_ends(sock)
            while self._accept(sock):
                pass
            self.loop.remove_reader(sock.fileno())
        self._listeners.clear()
        self.close_tunnels()
        self._drained = drained
        self._check_drained()

    def close_tunnels(self) -> None:
        """The instance goes down: end WebSockets politely, also those that are opened from now on; hold no request."""
        self.traffic.open_pauses()
        self.is_draining = True
        for leave in self.leaving:
            leave()
        for tunnel in list(self.tunnels):
            tunnel.drain()

    def close(self) -> None:
        """Stop at once: requests in progress are cut, so that no web server takes them as whole. Idempotent."""
        for sock in self._listeners:
            self._pause_ends(sock)
            self.loop.remove_reader(sock.fileno())
        self._listeners.clear()
        for rider in self.wheel.riders():
            if isinstance(rider, Client):
                rider.cut()
        for connection in list(self.connections):
            connection.abandon()
        self.timekeeper.close()
        self.wheel.close()
        self.departures.close()

    def status(self) -> RequestStatus:
        return RequestStatus(
            active=self.active,
            handled=self.handled,
            malformed=self.malformed,
            aborted=self.aborted,
            upgraded=self.upgraded,
            tunnels=len(self.tunnels),
        )

    # For Clients

    def closed(self) -> None:
        """A Client's connection is closed."""
        self.active -= 1
        if self._drained is not None:
            self._check_drained()

    def told(self, seen: Seen) -> None:
        """A request is over: its observers hear of it, once."""
        if not seen.app or seen.done:
            return
        seen.done = self.monotonic()
        seen.ending = seen.ending or ANSWERED  # what becomes of the connection afterwards is no part of it
        for observer in self.observers:
            try:
                observer(seen)
            except Exception as error:  # what is told about a request is no part of it
                self.events.error("defect while a request was observed", error=repr(error))

    def count_malformed(self, reason: str) -> None:
        """Count a request that is none; each reason is logged at most once per QUIET. Never quotes the request."""
        self.malformed += 1
        now = self._clock.monotonic()
        if now - self._complained_at >= QUIET:
            self._complained_at = now
            self._complaints.clear()
        if reason not in self._complaints:
            self._complaints.add(reason)
            self.events.warn("malformed request refused", reason=reason)

    def guarded(self, client: WebConnection, step: Callable[..., None], *args: Any) -> None:
        """Run a step of a Client; a defect of ours ends that client only."""
        try:
            step(*args)
        except ScgiError:
            raise
        except Exception as error:
            self.events.error("defect while a request was handled", error=repr(error))
            client.cut()

    # Accepting

    def _on_connections(self, sock: socket.socket) -> None:
        accepted = 0
        while accepted < self._batch and self._accept(sock):
            accepted += 1
        self._size_batch(accepted)

    def _size_batch(self, accepted: int) -> None:
        """As many as came the last time, more when that was too few for long: to find that nobody else waits costs as
        much as a tenth of a request, and whoever is left over wakes the loop again."""
        if accepted < self._batch:
            self._batch = accepted or 1
            self._full_batches = 0
        elif self._full_batches < FULL_BATCHES:
            self._full_batches += 1
        else:
            self._batch = min(self._batch * 2, ACCEPT_BATCH)
            self._full_batches = 0

    def _accept(self, listener: socket.socket) -> bool:
        try:
            # socket.accept() does this and wraps the result in a second object with enums for numbers: 2 us.
            number, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _SHORTAGE:
                self._pause(listener, error)
                return False
            return True  # the peer has gone before it was accepted
        sock = SocketType(socket.AF_UNIX, socket.SOCK_STREAM, 0, number)
        if peer(sock)[1] not in self._allowed:
            self.count_malformed(f"user {peer(sock)[1]} may not connect")
            sock.close()
            return True
        self.active += 1
        client = self._listeners[listener](self, sock)
        try:
            client.start()
        except Exception as error:
            self.events.error("defect while a request was handled", error=repr(error))
            client.cut()
        return True

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        self.events.error("cannot accept connections, pausing", error=str(error))
        self.loop.remove_reader(listener.fileno())
        self._pauses[listener] = self.loop.call_later(ACCEPT_PAUSE, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        del self._pauses[listener]
        self.loop.add_reader(listener.fileno(), self._on_connections, listener)

    def _pause_ends(self, listener: socket.socket) -> None:
        if pause := self._pauses.pop(listener, None):
            pause.cancel()

    def _check_drained(self) -> None:
        if self.active == 0 and self._drained is not None:
            drained, self._drained = self._drained, None
            self.loop.call_soon(drained)
