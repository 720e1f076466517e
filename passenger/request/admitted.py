"""A request on its way through the door of its application: held, turned away, or sent to the process it belongs to.

Only applications with a `Door` come here; for all others `Client` asks the pool itself.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from passenger.request import errorresponse
from passenger.request.door import Door, is_secure, value_of
from passenger.request.timed import TimedRequest

if TYPE_CHECKING:
    from passenger.pool.session import Session
    from passenger.request.sessions import ResponseTaker


class AdmittedRequest(TimedRequest):
    """See `Client`."""

    __slots__ = ("_asked_at",)

    _asked_at: float
    """When it began to wait for a process; only kept where the application is told."""

    @abstractmethod
    def response_complete(self) -> None:
        """ResponseTaker."""

    @abstractmethod
    def response_failed(self, reason: str) -> None:
        """ResponseTaker."""

    @abstractmethod
    def request_taken(self) -> None:
        """ResponseTaker."""

    def _enter(self, door: Door) -> None:
        """It has come: is the gate open?"""
        gate = door.gate
        if gate is None:
            self._ask_at(door)
            return
        if gate.maintenance is not None and not gate.lets_in(value_of(self._pairs, b"REMOTE_ADDR").decode("latin-1")):
            gate.turned_away += 1
            self.answer(errorresponse.maintained(gate.maintenance))
        elif gate.pause is None:
            self._ask_at(door)
        elif door.most_held and len(gate.held) >= door.most_held:
            gate.refused += 1
            self.answer(errorresponse.queue_full(self._route, self.request_id))
        else:
            gate.held[self] = None

    def pass_on(self) -> None:
        """Held: the pause is over, or there is no such application any more."""
        self._handler.guarded(self, self._go_on)

    def _go_on(self) -> None:
        handler = self._handler
        route = handler.routes.get(self._route.name.encode())
        if route is None:
            self.answer(errorresponse.error(503))
            return
        self._route = route
        self._since = handler.wheel.now
        handler.wheel.move(self)
        if route.door is None:
            handler.pool.get(route.name, self)
        else:
            self._enter(route.door)

    def _ask(self) -> None:
        """Ask for a process once more."""
        door = self._route.door
        if door is None:
            self._handler.pool.get(self._route.name, self)
        else:
            self._ask_at(door)

    def _ask_at(self, door: Door) -> None:
        """Ask for a process: the one that the request belongs to, if there is one."""
        handler = self._handler
        if door.tells_queue_time:
            self._asked_at = handler.monotonic()
        wanted = () if door.cookie is None else door.cookie.read(self._pairs)
        if door.unlimited and door.is_unlimited(self._pairs):
            handler.pool.get_beside(self._route.name, self, wanted)
        elif wanted:
            handler.pool.get_from(self._route.name, self, wanted)
        else:
            handler.pool.get(self._route.name, self)

    def _forget(self, *, is_late: bool = False) -> None:
        door = self._route.door
        if door is not None and door.gate is not None and self in door.gate.held:
            del door.gate.held[self]
            door.gate.expired += is_late
        else:
            self._handler.pool.forget(self, is_late=is_late)

    # A process takes it

    def _admitted(self, door: Door, session: Session) -> Session:
        """A session was granted: let go of its place again if the request is to take none."""
        if door.tells_queue_time and self._asked_at >= 0:
            waited, self._asked_at = max(0.0, self._handler.monotonic() - self._asked_at), -1.0
            self._pairs += b"HTTP_X_QUEUE_TIME\0%.3f\0" % (waited * 1000)
        if door.unlimited and not session.is_beside and door.is_unlimited(self._pairs):
            return self._handler.pool.step_aside(session)
        return session

    def _taker(self, session: Session) -> ResponseTaker:
        """Who takes the response: the request, or what adds a cookie to its head first."""
        line = self._cookie_line(session)
        return CookieAdder(self, line) if line else self

    def _cookie_line(self, session: Session) -> bytes:
        """The header for a client that does not know this process yet; b"" for any other."""
        door = self._route.door
        if door is None or door.cookie is None or session.process.route in door.cookie.read(self._pairs):
            return b""
        return door.cookie.line(session.process.route, is_secure=is_secure(self._pairs))


class CookieAdder:
    """Takes a response in the place of a request, and passes it on with one header more."""

    def __init__(self, request: ResponseTaker, line: bytes) -> None:
        self._request = request
        self._line = line
        self.bodiless = request.bodiless

    @property
    def request_id(self) -> str:
        return self._request.request_id

    def deliver(self, data: bytes) -> bool:
        if self._line:
            data, self._line = with_line(data, self._line), b""
        return self._request.deliver(data)

    def response_complete(self) -> None:
        self._request.response_complete()

    def response_failed(self, reason: str) -> None:
        self._request.response_failed(reason)

    def request_taken(self) -> None:
        self._request.request_taken()


def with_line(head: bytes, line: bytes) -> bytes:
    """A response head with a header more, right behind its status."""
    end = head.index(b"\r\n") + 2
    return head[:end] + line + head[end:]
