"""A process that has overdue requests: what is known about it, asked and done until it is all right or gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from passenger.pool.model import ProcessState
from passenger.request.overtime import PATIENCE, Trouble, Verdict, judge
from passenger.request.ping import Ping
from passenger.request.wheel import PERIOD, Rider

if TYPE_CHECKING:
    from passenger.pool.model import Process, Socket
    from passenger.pool.session import Session
    from passenger.request.appconnection import AppConnection
    from passenger.request.handler import RequestHandler

WHY: Final = "a request ran longer than max_request_time"


class TroubledProcess:
    """Rides the wheel, a tick at a time. `over` is called once, when there is nothing left to look after."""

    def __init__(self, handler: RequestHandler, process: Process, over: Callable[[Process], None]) -> None:
        self._handler = handler
        self._process = process
        self._over = over
        self._held: dict[AppConnection, tuple[Session, int]] = {}
        """Connections with the exchanges that were called off on them, and when that was."""
        self._ping: Ping | None = None
        self._place: Socket | None = None
        self._asked_at = 0
        self._next = 0
        self.slot: dict[Rider, None] = {}
        handler.wheel.join(self)

    def add(self, connection: AppConnection, session: Session) -> None:
        """A request of it was called off just now."""
        now = self._handler.wheel.now
        if connection.session is session:
            self._held[connection] = (session, now)
        if _answers_pings(session.socket) and (self._ping is None or self._ping.is_answered):
            self._place = session.socket
            self._asked_at = now
            self._ping = Ping(self._handler.loop, self._process, session.socket)
        self._look()

    def close(self) -> None:
        """Idempotent."""
        self._handler.wheel.leave(self)
        if self._ping is not None:
            self._ping.close()

    def aged(self) -> None:
        """Rider."""

    def due_at(self) -> int:
        """Rider."""
        return self._next

    def overdue(self) -> None:
        """Rider."""
        self._look()

    def _look(self) -> None:
        process = self._process
        self._note_what_ended()
        verdict = Verdict.OVER if process.state is ProcessState.GONE else judge(self._trouble())
        if verdict is Verdict.CONDEMN:
            self._condemn()
        if verdict is Verdict.OVER or verdict is Verdict.CONDEMN:
            self.close()
            self._over(process)
            return
        if verdict is Verdict.WITHDRAW:
            self._handler.pool.withdraw(process, WHY)
        if self._ping is not None and self._ping.is_lost and self._place is not None:
            self._ping = Ping(self._handler.loop, process, self._place)
        self._next = self._handler.wheel.now + 1
        self._handler.wheel.move(self)

    def _note_what_ended(self) -> None:
        ended = [connection for connection, (session, _) in self._held.items() if connection.session is not session]
        for connection in ended:
            del self._held[connection]
        if self._process.takes_interrupts:
            self._process.group.counters.requests_interrupted += len(ended)

    def _trouble(self) -> Trouble:
        process, now = self._process, self._handler.wheel.now
        is_silent = self._ping is not None and not self._ping.is_answered
        return Trouble(
            held=len(self._held),
            held_for=PERIOD * max((now - since for _, since in self._held.values()), default=0),
            silent_for=PERIOD * (now - self._asked_at) if is_silent else None,
            others=process.sessions - len(self._held),
            interrupts=process.takes_interrupts,
            is_withdrawn=not process.takes_requests(),
        )

    def _condemn(self) -> None:
        process = self._process
        process.group.counters.processes_over_time += 1
        if process.takes_interrupts:
            process.running.show_stacks()
        else:
            app = process.group.name
            self._handler.events.warn("a process of this kind cannot show where it is", app=app, pid=process.pid)
        self._handler.pool.condemn(process, WHY, patience=PATIENCE)


def _answers_pings(place: Socket) -> bool:
    """One that takes a single request at a time does not answer while it works, and need not."""
    return place.protocol == "http_session" and place.concurrency != 1
