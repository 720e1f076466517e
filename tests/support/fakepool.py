"""A pool whose processes the test brings: grants at once while a place is free, else queues. Records everything."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from passenger.pool.counters import Counters
from passenger.pool.model import ProcessState
from passenger.pool.session import IdleConnection, LongSession, Refusal, Session, Waiter


class FakeSocket:
    """Looks like `passenger.pool.model.Socket`."""

    def __init__(self, address: str, concurrency: int, protocol: str) -> None:
        self.name = "main"
        self.address = address
        self.protocol = protocol
        self.concurrency = concurrency
        self.idle: list[IdleConnection] = []
        self.sessions = 0


class FakeGroup:
    """Looks like `passenger.pool.model.Group`."""

    def __init__(self) -> None:
        self.name = "blog"
        self.counters = Counters()


class FakeRunning:
    """Looks like a `RunningProcess`, as far as requests go."""

    def __init__(self, takes_interrupts: bool) -> None:  # noqa: FBT001
        self._takes_interrupts = takes_interrupts
        self.asked: list[str] = []

    def interrupt(self, connection: str) -> bool:
        self.asked.append(f"interrupt {connection}")
        return self._takes_interrupts

    def show_stacks(self) -> None:
        self.asked.append("show stacks")


class FakeProcess:
    """Looks like `passenger.pool.model.Process`."""

    def __init__(
        self, pid: int, address: str, concurrency: int, password: str, protocol: str, *, takes_interrupts: bool
    ) -> None:
        self.pid = pid
        self.state = ProcessState.ENABLED
        self.group = FakeGroup()
        self.takes_interrupts = takes_interrupts
        self.takes_errands = protocol == "session"
        self.running = FakeRunning(takes_interrupts)
        self.gupid = f"gupid-{pid}"
        self.route = f"route-{pid}"
        self.connect_password = password
        self.socket = FakeSocket(address, concurrency, protocol)
        self.upgraded: dict[LongSession, None] = {}
        self.is_retired = False

    @property
    def sessions(self) -> int:
        return self.socket.sessions

    def takes_requests(self) -> bool:
        return not self.is_retired


class FakePool:
    """A SessionPool for one or many processes of any application."""

    def __init__(self) -> None:
        self.processes: list[FakeProcess] = []
        self.queue: dict[Waiter, str] = {}
        self.refusal: Refusal | None = None
        """Set = every request is refused with it."""
        self.wanted: list[tuple[str, ...]] = []
        """What `get_from` was given."""
        self.asked_beside = 0
        self.errands: list[int] = []
        """Pids of processes that have asked for out-of-band work."""
        self.forgotten = 0
        self.granted = 0
        self.released = 0
        self.failures: list[str] = []
        self.late = 0
        """Of `forgotten`: how many were sent away because they had waited for too long."""
        self.condemned: list[tuple[int, float]] = []
        """(pid, patience)."""

    def add_process(
        self,
        *,
        pid: int,
        address: str,
        concurrency: int = 1,
        password: str = "pw",
        protocol: str = "session",
        takes_interrupts: bool = False,
    ) -> FakeProcess:
        process = FakeProcess(pid, address, concurrency, password, protocol, takes_interrupts=takes_interrupts)
        self.processes.append(process)
        self._serve_queue()
        return process

    @property
    def open_sessions(self) -> int:
        return self.granted - self.released

    def get(self, app: str, waiter: Waiter) -> None:
        if self.refusal is not None:
            waiter.session_refused(self.refusal)
        elif (process := self._free()) is not None:
            self._grant(process, waiter)
        else:
            self.queue[waiter] = app

    def get_from(self, app: str, waiter: Waiter, wanted: Collection[str]) -> None:
        self.wanted.append(tuple(wanted))
        self.get(app, waiter)

    def get_beside(self, app: str, waiter: Waiter, wanted: Collection[str]) -> None:
        self.asked_beside += 1
        self.get_from(app, waiter, wanted)

    def ask_errand(self, process: Any) -> None:
        self.errands.append(process.pid)

    def step_aside(self, session: Session) -> Session:
        return session

    def forget(self, waiter: Waiter, *, is_late: bool = False) -> None:
        del self.queue[waiter]
        self.forgotten += 1
        self.late += is_late

    def withdraw(self, process: Any, why: str) -> None:
        assert "max_request_time" in why
        process.is_retired = True

    def condemn(self, process: Any, why: str, *, patience: float = 0.0) -> None:
        assert "max_request_time" in why
        process.is_retired = True
        self.condemned.append((process.pid, patience))

    def release(self, session: Session) -> None:
        assert not session.closed, "a session was released twice"
        session.closed = True
        self.released += 1
        session.socket.sessions -= 1
        self._serve_queue()

    def connection_failed(self, session: Session, reason: str) -> None:
        self.failures.append(reason)
        self.processes = [process for process in self.processes if process.socket is not cast("object", session.socket)]
        self.release(session)

    def close(self) -> None:
        """Close what is parked."""
        for process in self.processes:
            for connection in process.socket.idle:
                connection.close()
            process.socket.idle.clear()

    def _free(self) -> FakeProcess | None:
        free = [p for p in self.processes if not p.socket.concurrency or p.socket.sessions < p.socket.concurrency]
        return free[0] if free else None

    def _serve_queue(self) -> None:
        while self.queue and (process := self._free()) is not None:
            waiter = next(iter(self.queue))
            del self.queue[waiter]
            self._grant(process, waiter)

    def _grant(self, process: Any, waiter: Waiter) -> None:
        process.socket.sessions += 1
        self.granted += 1
        waiter.session_granted(Session(process, process.socket))
