"""Sessions that are not like any other: with the process that a client belongs to, or beside the places of a process.

Rules.
1. A route (`Process.route`) means a process of one group only, and only while it stays.
2. A session beside the places is granted at once while any process serves. It keeps its process from ending, like any.
3. Nothing here grows with the number of processes, but for the choice among them while a restart goes on.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection

from passenger.pool import events as ev
from passenger.pool.actions import RunErrand
from passenger.pool.model import Group, Process, ProcessState
from passenger.pool.orders import Orders
from passenger.pool.session import BesideSession, Session, Waiter
from passenger.pool.wear import by_requests

ErrandRunner = Callable[[Process, Callable[[], None]], None]


class Belonging(Orders):
    """The part of `Pool` for such sessions."""

    errand_runner: ErrandRunner | None = None
    """Has a process do its out-of-band work; calls back when that is over, one way or the other."""

    @abc.abstractmethod
    def get(self, app: str, waiter: Waiter) -> None:
        """A session with any process."""

    @abc.abstractmethod
    def release(self, session: Session) -> None:
        """The session has ended."""

    def get_from(self, app: str, waiter: Waiter, wanted: Collection[str]) -> None:
        """As `get`, from the process with one of these routes: waits for it if it is busy. Any if there is none."""
        group = self._ledger.groups.get(app)
        process = None if group is None else _meant(group, wanted)
        if process is None:
            self.get(app, waiter)
            return
        process.group.counters.requests += 1
        if process.has_place():
            waiter.session_granted(process.group.places.take_from(process))
        else:
            self._step(ev.Pinned(process, waiter))

    def get_beside(self, app: str, waiter: Waiter, wanted: Collection[str]) -> None:
        """As `get`, without taking a place; while no process serves it waits like any request (then: `step_aside`)."""
        group = self._ledger.groups.get(app)
        if group is None or not group.enabled:
            self.get(app, waiter)
            return
        group.counters.requests += 1
        process = _meant(group, wanted)
        if process is None or process.state is not ProcessState.ENABLED:
            process = _next(group)
        waiter.session_granted(_beside(process, is_counted=False))

    def step_aside(self, session: Session) -> Session:
        """The session takes no place from now on; the one that is returned stands for it."""
        beside = _beside(session.process, is_counted=True)
        self.release(session)
        return beside

    def ask_errand(self, process: Process) -> None:
        """A process wants time without requests (`errands`)."""
        self._step(ev.ErrandAsked(process))

    def _run_errand(self, action: RunErrand) -> None:
        process, run = action.process, self.errand_runner
        if run is None:
            self._step(ev.ErrandOver(process))
        else:
            run(process, lambda: self._step(ev.ErrandOver(process)))

    def _end_beside(self, session: Session) -> None:
        """Does nothing for a session that is over."""
        if not isinstance(session, BesideSession) or session.is_over:
            return
        session.is_over = True
        process = session.process
        if process.state is not ProcessState.ENABLED:
            self._step(ev.Released(session))
            return
        process.beside -= 1
        process.processed += not session.is_counted
        if process.processed >= process.retire_at:
            self.renew(process, by_requests(process))

    @staticmethod
    def _is_open_beside(session: Session) -> bool:
        """Whether it is such a session and not over; it is from now on."""
        is_open = isinstance(session, BesideSession) and not session.is_over
        if isinstance(session, BesideSession):
            session.is_over = True
        return is_open


def _meant(group: Group, wanted: Collection[str]) -> Process | None:
    return next((group.routes[route] for route in wanted if route in group.routes), None)


def _next(group: Group) -> Process:
    """The processes that serve, by turns; those of an older generation only while there is no newer one."""
    has_newer = len(group.outdated) < group.enabled
    while True:
        route, process = group.routes.popitem(last=False)
        group.routes[route] = process
        if process.state is ProcessState.ENABLED and not (has_newer and process in group.outdated):
            return process


def _beside(process: Process, *, is_counted: bool) -> BesideSession:
    process.beside += 1
    return BesideSession(process, process.only_socket or process.sockets[0], is_counted=is_counted)
