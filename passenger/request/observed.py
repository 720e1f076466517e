"""Requests that are watched: what is kept of one, and who is told at its end.

Rules.
1. Nobody watches = nothing of this exists: the handler then takes connections with the plain kinds of client. A
   watched kind is a subclass that notes times as a request passes, from the next connection on.
2. An observer is called once for each request that reached an application's route, after its response is out or it was
   given up. Probes, malformed requests and unknown applications are nobody's requests and are not told.
3. What an observer raises is logged and harms no request. An observer must not block, and must not keep `pairs` longer
   than it needs it: they hold the client's headers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from passenger.pool.session import Refusal, RefusalReason, Session
from passenger.request.cgi import CgiClient
from passenger.request.client import Client
from passenger.request.upgrade import UpgradeClient

if TYPE_CHECKING:
    from socket import SocketType

    from passenger.request.handler import RequestHandler

ANSWERED: Final = "answered"
DEPARTED: Final = "departed"
CUT: Final = "cut"
_STATUS: Final = slice(9, 12)
"""Of a head as we write it: `HTTP/1.1 200 OK`."""


class Seen:
    """One request. Times are monotonic seconds, 0.0 = it did not come to that.

    The defaults are the class's, so that making one costs little.
    """

    app = ""
    pid = 0
    """0 = no process had it."""
    pairs = b""
    """`request_head`: NAME NUL VALUE NUL ..."""
    status = b""
    """Three digits; b"" = nothing was answered."""
    received = 0
    """Bytes of the request body."""
    sent = 0
    """Bytes of the response, its head included; not those of a tunnel."""
    is_own = False
    """The answer is the core's, not the application's."""
    refusal: RefusalReason | None = None
    ending = ""
    """ANSWERED, DEPARTED (its client left) or CUT (given up in the middle)."""
    asked = 0.0
    """The head was whole, and a process asked for."""
    granted = 0.0
    begun = 0.0
    """The first bytes of the response went out."""
    served = 0.0
    """The process had answered, well or not."""
    done = 0.0
    span: Any = None
    """The tracer's own note."""

    def __init__(self, arrived: float) -> None:
        self.arrived = arrived


RequestObserver = Callable[[Seen], None]
RequestTracer = Callable[[Seen], bytes]
"""Gives the head that the application is to see, in place of `pairs`."""


class Observed(Client):
    """What watched clients have in common.

    No slots of its own (`_seen` is one of `WebConnection`, never set there), so that it can stand above any Client.
    What is called for every request is called by its own name: `super()` takes twice the time.
    """

    __slots__ = ()

    _seen: Seen
    _plain_init: ClassVar[Any] = Client.__init__
    _plain_granted: ClassVar[Any] = Client.session_granted
    _plain_deliver: ClassVar[Any] = Client.deliver
    _plain_complete: ClassVar[Any] = Client.response_complete

    def __init__(self, handler: RequestHandler, sock: SocketType) -> None:
        self._seen = Seen(handler.monotonic())
        self._plain_init(handler, sock)

    def _queue(self) -> None:
        seen, handler = self._seen, self._handler
        seen.asked = handler.monotonic()
        seen.app = self._route.name
        seen.pairs = self._pairs
        seen.received = self._body_left or len(self._body)
        if handler.tracer is not None:
            self._pairs = handler.tracer(seen)
        Client._queue(self)  # noqa: SLF001 - our own base class

    def session_granted(self, session: Session) -> None:
        seen = self._seen
        seen.granted = self._handler.monotonic()
        seen.pid = session.process.pid
        self._plain_granted(session)

    def session_refused(self, refusal: Refusal) -> None:
        self._seen.refusal = refusal.reason
        super().session_refused(refusal)

    def deliver(self, data: bytes) -> bool:
        seen = self._seen
        if self._begun:
            seen.sent += len(data)
        else:
            seen.begun = self._handler.monotonic()
            seen.status = data[_STATUS]
            seen.sent = len(data)
        took: bool = self._plain_deliver(data)
        return took

    def answer(self, data: bytes) -> None:
        self._seen.is_own = True
        super().answer(data)

    def response_complete(self) -> None:
        self._seen.served = self._handler.monotonic()
        self._plain_complete()

    def response_failed(self, reason: str) -> None:
        self._seen.served = self._handler.monotonic()
        super().response_failed(reason)

    # Ends

    def left(self) -> None:
        self._seen.ending = self._seen.ending or DEPARTED
        super().left()

    def cut(self) -> None:
        self._seen.ending = self._seen.ending or CUT
        super().cut()

    def _finish(self) -> None:
        self._seen.ending = ANSWERED
        Client._finish(self)  # noqa: SLF001 - as above
        self._told()

    def _close(self) -> None:
        super()._close()
        self._told()

    def _told(self) -> None:
        seen, handler = self._seen, self._handler
        if not seen.app or seen.done:
            return
        seen.done = handler.monotonic()
        if not seen.ending:
            seen.ending = CUT
        for observer in handler.observers:
            try:
                observer(seen)
            except Exception as error:  # rule 3: what is told about a request is no part of it
                handler.events.error("defect while a request was observed", error=repr(error))


class ObservedClient(Observed):
    """A request of nginx."""

    __slots__ = ()


class ObservedCgi(Observed, CgiClient):
    """A request of Apache."""

    __slots__ = ()

    _plain_init = CgiClient.__init__
    _plain_deliver = CgiClient.deliver
    _plain_complete = CgiClient.response_complete


class ObservedUpgrade(Observed, UpgradeClient):
    """A request for another protocol; the time of its tunnel belongs to it."""

    __slots__ = ()

    _plain_init = UpgradeClient.__init__
    _plain_granted = UpgradeClient.session_granted

    def switched(self, sock: Any, session: Session, head: bytes, rest: bytes) -> None:
        seen = self._seen
        seen.status = head[_STATUS]
        seen.begun = self._handler.monotonic()
        seen.ending = ANSWERED
        super().switched(sock, session, head, rest)


_OBSERVED: Final[dict[type[Client], type[Client]]] = {
    Client: ObservedClient,
    CgiClient: ObservedCgi,
    UpgradeClient: ObservedUpgrade,
}


def observed(kind: type[Client]) -> type[Client]:
    """The watched twin of a kind of client."""
    return _OBSERVED[kind]
