"""A request whose time may run out, or whose client may leave: every end of it but its response.

Rules.
1. The client gets its answer first, or is cut off where a response has begun; then the process is dealt with.
2. A process that works on for nobody keeps its place. How long it may is `timekeeper`'s business.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from passenger.request import errorresponse
from passenger.request.deadlines import (
    HEAD_TICKS,
    LINGER_TICKS,
    Overdue,
    due_in_process,
    due_in_queue,
    overdue_in_process,
    overdue_in_queue,
)
from passenger.request.door import value_of
from passenger.request.observed import DEPARTED
from passenger.request.webconnection import State, WebConnection
from passenger.request.wheel import NEVER
from passenger.wire.session import request_words

if TYPE_CHECKING:
    from passenger.pool.session import Refusal, Session
    from passenger.request.appconnection import AppConnection
    from passenger.request.routes import Route

_READING, _QUEUED, _RUNNING, _LINGERING = State.READING, State.QUEUED, State.RUNNING, State.LINGERING


class TimedRequest(WebConnection):
    """See `Client`."""

    __slots__ = ("_granted", "_pairs", "_route")

    _route: Route
    _pairs: bytes
    _granted: int
    """Tick in which a process got it."""

    @abstractmethod
    def session_granted(self, session: Session) -> None:
        """Waiter."""

    @abstractmethod
    def session_refused(self, refusal: Refusal) -> None:
        """Waiter."""

    @abstractmethod
    def _forget(self, *, is_late: bool = False) -> None:
        """It does not wait for a process any more; `is_late`: because it has for too long."""

    def left(self) -> None:
        """The web server has gone, because its client has."""
        self._watched = False
        if self._seen is not None:
            self._seen.ending = self._seen.ending or DEPARTED
        connection, queued = self._connection, self._state is _QUEUED
        if not self.is_streaming:  # that is how such a response usually ends
            self._handler.aborted += 1
        self._close()
        if connection is not None:
            self._abandon(connection)
        elif queued:
            self._forget()

    def due_at(self) -> int:
        state = self._state
        if state is _RUNNING:
            return due_in_process(self._route, granted=self._granted, heard=self._since, begun=self._begun)
        if state is _QUEUED:
            return due_in_queue(self._route, self._since)
        if state is _READING:
            return self._since + HEAD_TICKS
        return self._since + LINGER_TICKS if state is _LINGERING else NEVER

    def overdue(self) -> None:
        state, now = self._state, self._handler.wheel.now
        if state is _QUEUED:
            self._overdue_in_queue(overdue_in_queue(self._route, self._since, now))
        elif state is _RUNNING:
            self._overdue_in_process(overdue_in_process(self._route, self._granted, now))
        else:
            self._close()

    def _overdue_in_queue(self, why: Overdue) -> None:
        route = self._route
        if why is not Overdue.RESPONSE:
            self.answer(errorresponse.waited_too_long(route, is_held=why is Overdue.HELD, request_id=self.request_id))
        else:
            self._answer_late("The response timeout is over.")
            self._handler.events.warn("response timeout", app=route.name, state="queued", request_id=self.request_id)
        self._forget(is_late=why is not Overdue.RESPONSE)

    def _overdue_in_process(self, why: Overdue) -> None:
        connection, self._connection = self._connection, None
        if why is Overdue.REQUEST_TIME:
            if self._begun:
                self._close()
            else:
                self._answer_late("It ran longer than max_request_time.")
            if connection is not None:
                self._handler.timekeeper.call_off(connection, self._words(), self.request_id)
            return
        self._answer_late("The response timeout is over.")
        self._handler.events.warn("response timeout", app=self._route.name, state="running", request_id=self.request_id)
        if connection is not None:
            self._abandon(connection)

    def _answer_late(self, reason: str) -> None:
        self.answer(errorresponse.error(504, route=self._route, reason=reason, request_id=self.request_id))

    def _abandon(self, connection: AppConnection) -> None:
        """Nobody wants the response; the process may go on with it as long as any request may."""
        connection.client_left()
        limit = self._route.request_ticks
        if limit != NEVER:
            self._handler.timekeeper.follow(connection, self._granted + limit, self._words(), self.request_id)

    @property
    def request_id(self) -> str:
        """As the access log and the application have it."""
        return value_of(self._pairs, b"HTTP_X_REQUEST_ID").decode("latin-1")

    def _words(self) -> str:
        """The request, for the log."""
        return request_words(self._pairs)
