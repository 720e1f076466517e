"""What the request layer needs of the pool, and what an exchange with a process tells its client."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

from passenger.pool.session import Session, Waiter

if TYPE_CHECKING:
    from passenger.pool.model import Process


class SessionPool(Protocol):
    """The ApplicationPool as requests see it."""

    def get(self, app: str, waiter: Waiter) -> None:
        """Grant, queue or refuse; grants and refusals may come within this call."""
        ...

    def get_from(self, app: str, waiter: Waiter, wanted: Collection[str]) -> None:
        """As `get`, from the process with one of these routes, if one lives; waits for that one."""
        ...

    def get_beside(self, app: str, waiter: Waiter, wanted: Collection[str]) -> None:
        """As `get`, but at once while any process serves, and without taking a place in it."""
        ...

    def step_aside(self, session: Session) -> Session:
        """A session that took a place takes none any more: use the one that is returned instead."""
        ...

    def forget(self, waiter: Waiter, *, is_late: bool = False) -> None:
        """A queued waiter has left; `is_late` = it was sent away, because it had waited for too long."""
        ...

    def release(self, session: Session) -> None: ...
    def ask_errand(self, process: Process) -> None:
        """The process has asked for out-of-band work, with a response that is over."""
        ...

    def withdraw(self, process: Process, why: str) -> None:
        """The process gets no further request and ends when it has finished the ones it has."""
        ...

    def condemn(self, process: Process, why: str, *, patience: float = 0.0) -> None:
        """SIGTERM, and `patience` seconds later SIGKILL; its requests are lost."""
        ...

    def connection_failed(self, session: Session, reason: str) -> None:
        """The process could not be reached; the session is released."""
        ...


class ResponseTaker(Protocol):
    """The client's side of an exchange with a process."""

    bodiless: bool
    """The request was HEAD."""

    @property
    def request_id(self) -> str:
        """For the log; "" for none."""
        ...

    def deliver(self, data: bytes) -> bool:
        """Bytes for the web server, head first. False = wait for `AppConnection.resume`."""
        ...

    def response_complete(self) -> None:
        """Everything was delivered; the exchange is over."""
        ...

    def response_failed(self, reason: str) -> None:
        """There will be no whole response; the exchange is over."""
        ...

    def request_taken(self) -> None:
        """The process took all that waited for it: more of the request body may follow."""
        ...
