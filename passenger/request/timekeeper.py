"""Requests that run longer than `max_request_time`, beyond the answer to their client: see `overtime` for the rules.

Rules.
1. Nothing here knows of a request before it is overdue, or its client has left; without the limit nothing is here.
2. A place counts as taken until the process itself is done with the request (fault matrix E7).
3. A process is looked at once per tick, and only while something is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from passenger.request.troubled import TroubledProcess
from passenger.request.wheel import Rider

if TYPE_CHECKING:
    from passenger.pool.model import Process
    from passenger.pool.session import Session
    from passenger.request.appconnection import AppConnection
    from passenger.request.handler import RequestHandler


class Timekeeper:
    """Calls requests off, and looks after the processes that had them."""

    def __init__(self, handler: RequestHandler) -> None:
        self.notify: Callable[[str, dict[str, object]], None] = lambda _event, _facts: None
        """(event, facts): for hooks."""
        self._handler = handler
        self._troubled: dict[Process, TroubledProcess] = {}

    def call_off(self, connection: AppConnection, what: str, request_id: str) -> None:
        """The request on this connection is overdue, and its client has its answer. `what`: words for the log."""
        session = connection.session
        if session is None:
            return
        process = session.process
        name = connection.name if process.takes_interrupts else ""
        told = bool(name) and process.running.interrupt(name)
        process.group.counters.requests_over_time += 1
        self._handler.events.warn(
            "request over time",
            app=process.group.name,
            pid=process.pid,
            request=what,
            interrupted=told,
            request_id=request_id,
        )
        self.notify("max_request_time_reached", {"app": process.group.name, "pid": process.pid, "reason": what})
        connection.call_off(told=told)
        troubled = self._troubled.get(process)
        if troubled is None:
            troubled = self._troubled[process] = TroubledProcess(self._handler, process, self._over)
        troubled.add(connection, session)

    def follow(self, connection: AppConnection, due: int, what: str, request_id: str) -> None:
        """The client has left, the request goes on: it is overdue at that tick."""
        session = connection.session
        if session is not None:
            Orphan(self._handler, connection, session, due, (what, request_id))

    def close(self) -> None:
        """The core stops."""
        for troubled in list(self._troubled.values()):
            troubled.close()
        self._troubled.clear()

    def _over(self, process: Process) -> None:
        del self._troubled[process]


class Orphan:
    """A request without a client. Rides the wheel until the process is done with it, or it is overdue."""

    __slots__ = ("_connection", "_due", "_handler", "_session", "_what", "slot")

    def __init__(
        self, handler: RequestHandler, connection: AppConnection, session: Session, due: int, what: tuple[str, str]
    ) -> None:
        self._handler = handler
        self._connection = connection
        self._session = session
        self._due = due
        self._what = what
        self.slot: dict[Rider, None] = {}
        handler.wheel.join(self)

    def aged(self) -> None:
        """Rider."""
        if self._connection.session is not self._session:
            self._handler.wheel.leave(self)

    def due_at(self) -> int:
        """Rider."""
        return self._due

    def overdue(self) -> None:
        """Rider."""
        self._handler.wheel.leave(self)
        if self._connection.session is self._session:
            self._handler.timekeeper.call_off(self._connection, *self._what)
