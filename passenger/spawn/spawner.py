"""The Spawner contract: what the pool asks for and what it gets, whatever the way a process is started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from passenger.config.model import App
from passenger.errors import Fault, PassengerError
from passenger.lazy_dataclass import dataclass

SocketProtocol = Literal["session", "http_session"]


@dataclass(frozen=True, slots=True)
class AppSocket:
    """A socket on which a process takes requests, as announced in its Ready answer and verified by us."""

    name: str
    address: str
    """`unix:/absolute/path` or `tcp://127.0.0.1:port`."""
    protocol: SocketProtocol
    concurrency: int
    """Most requests at the same time; 0 = no limit."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. `status` is None when somebody else reaped it."""

    status: int | None
    """Exit status, or minus the signal number."""

    def __str__(self) -> str:
        if self.status is None:
            return "ended"
        return f"exited with status {self.status}" if self.status >= 0 else f"was killed by signal {-self.status}"


class RunningProcess(Protocol):
    """A process that is ready for requests. Every method returns at once; none raises for a process that is gone."""

    @property
    def pid(self) -> int: ...
    @property
    def gupid(self) -> str:
        """Process id unique over time."""
        ...

    @property
    def sockets(self) -> tuple[AppSocket, ...]: ...
    @property
    def connect_password(self) -> str: ...
    @property
    def spawn_seconds(self) -> float: ...

    @property
    def takes_interrupts(self) -> bool:
        """Its loader interrupts single requests."""
        ...

    @property
    def takes_errands(self) -> bool:
        """Its loader can be asked for out-of-band work: by the session protocol, or as it has announced."""
        ...

    def interrupt(self, connection: str) -> bool:
        """Have the request on that connection interrupted (the address of our end). False = it cannot be told."""
        ...

    def show_stacks(self) -> None:
        """Have it print what its threads do. Only for one that takes interrupts; others would end."""
        ...

    def when_exited(self, callback: Callable[[Exit], None]) -> None:
        """Call back once, from the loop, when the process has ended (at once in the next turn if it already has)."""
        ...

    def request_stop(self) -> None:
        """Half-close its stdin: no request will come any more, it should end."""
        ...

    def terminate(self) -> None:
        """SIGTERM to its process group."""
        ...

    def kill(self) -> None:
        """SIGKILL to its process group."""
        ...

    def dispose(self) -> None:
        """After the exit: remove its socket files, close every descriptor, sweep its process group. Idempotent."""
        ...


class SpawnError(PassengerError):
    """A process could not be started. Everything an error page or `status` says about it is here.

    `error_id` is random and joins page, log line and status; `summary` is one line that names the failing step;
    `output` is what the process wrote (at most 128 KiB, decoded, not escaped), behind `explanation`, what its loader
    said itself; `steps` is the journey as (step, state, seconds) with state "done" | "failed" | "not started".
    """

    fault = Fault.APP

    def __init__(
        self,
        summary: str,
        *,
        category: str,
        error_id: str,
        steps: tuple[tuple[str, str, float], ...] = (),
        output: str = "",
        explanation: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(summary, hint=hint)
        self.summary = summary
        self.category = category
        self.error_id = error_id
        self.steps = steps
        self.output = output
        self.explanation = explanation


class Spawner(Protocol):
    """Starts processes of one application."""

    keeps_preloader: bool
    """Set from outside: a preloader is not stopped for being idle, for a new one might load something else."""

    @property
    def preloader_pid(self) -> int | None:
        """The process that has loaded the application and forks; None when there is none now."""
        ...

    def change(self, app: App) -> None:
        """Keys changed that need no restart: they hold from now on, also for what is under way."""
        ...

    async def spawn(self) -> RunningProcess:
        """Start one process and wait until it is ready. Raises SpawnError; cancelling kills what was started."""
        ...

    async def close(self) -> None:
        """Free what the spawner itself keeps running (a preloader); its processes go on."""
        ...


class SpawnerFactory(Protocol):
    """Chooses the spawner for an application."""

    def spawner_for(self, name: str, app: App) -> Spawner: ...
