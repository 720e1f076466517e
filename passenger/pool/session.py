"""What the pool and its users say to each other: Waiter, Session, Refusal, and kept-alive connections.

Hot path: `Pool.get` calls the waiter back in the same turn when a process is free. No task, no future, no lock.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar, Protocol

from passenger.lazy_dataclass import dataclass
from passenger.spawn.spawner import SpawnError

if TYPE_CHECKING:
    from passenger.pool.model import Process, Socket


class RefusalReason(enum.Enum):
    """Why a request gets no session."""

    QUEUE_FULL = "queue full"
    SPAWN_FAILED = "the application could not be started"
    BACKING_OFF = "the application keeps failing; it will be tried again"
    STOPPING = "the instance is stopping"
    UNKNOWN_APP = "no such application"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer instead of a Session."""

    reason: RefusalReason
    app: str
    retry_after: int = 0
    """Whole seconds for the Retry-After header; 0 = leave it out."""
    error: SpawnError | None = None


class Waiter(Protocol):
    """Somebody who wants a session (a Client). Must be hashable by identity."""

    def session_granted(self, session: Session) -> None:
        """Called once, possibly within `Pool.get`. The waiter must `Pool.release` the session in the end."""
        ...

    def session_refused(self, refusal: Refusal) -> None:
        """Called once instead."""
        ...


class IdleConnection(Protocol):
    """A kept-alive connection to a process, parked on its Socket by the request layer."""

    def close(self) -> None: ...


class LongSession(Protocol):
    """A session without an end of its own (a WebSocket). Must be hashable by identity."""

    def process_leaves(self) -> None:
        """Its process takes no new request and is to end: come to an end soon."""
        ...


class Session:
    """One request/response cycle with one process: the claim on a place, not the bytes."""

    __slots__ = ("closed", "process", "socket")

    is_beside: ClassVar[bool] = False

    def __init__(self, process: Process, socket: Socket) -> None:
        self.process = process
        self.socket = socket
        self.closed = False


class BesideSession(Session):
    """A session that takes no place. It is `closed` from the beginning, so that it passes by every short cut."""

    __slots__ = ("is_counted", "is_over")

    is_beside = True

    def __init__(self, process: Process, socket: Socket, *, is_counted: bool) -> None:
        super().__init__(process, socket)
        self.closed = True
        self.is_over = False
        self.is_counted = is_counted
        """As one that the process has served, already."""
