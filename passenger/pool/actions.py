"""What `decide` wants done. The ledger already reflects each of them; carrying them out is the pool's part."""

from __future__ import annotations

from passenger.lazy_dataclass import dataclass
from passenger.pool.model import Generation, Group, Process, Spawning
from passenger.pool.restart import Restart
from passenger.pool.session import Refusal, Session, Waiter


@dataclass(frozen=True, slots=True)
class Grant:
    """Give the session to the waiter."""

    waiter: Waiter
    session: Session


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the waiter that it gets none."""

    waiter: Waiter
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process."""

    spawning: Spawning


@dataclass(frozen=True, slots=True)
class CallOff:
    """A start is not needed any more: cancel it, kill what it has started."""

    spawning: Spawning


@dataclass(frozen=True, slots=True)
class Watch:
    """A process is ready: be told when it ends."""

    process: Process


@dataclass(frozen=True, slots=True)
class Retire:
    """The process takes no new request, for this reason: tell the sessions that would not end by themselves."""

    process: Process
    why: str


@dataclass(frozen=True, slots=True)
class AskToStop:
    """The process has no session left and gets none: close its parked connections and its stdin."""

    process: Process


@dataclass(frozen=True, slots=True)
class Terminate:
    """It did not listen: SIGTERM."""

    process: Process


@dataclass(frozen=True, slots=True)
class Kill:
    """It had its time: SIGKILL."""

    process: Process


@dataclass(frozen=True, slots=True)
class Dispose:
    """The process has ended: close its parked connections, clean up after it."""

    process: Process


@dataclass(frozen=True, slots=True)
class RunErrand:
    """The process takes no request: have it do its out-of-band work, and tell when it is done."""

    process: Process


@dataclass(frozen=True, slots=True)
class DropErrand:
    """The process has not finished what it ran: it serves again, without having done its out-of-band work."""

    process: Process


@dataclass(frozen=True, slots=True)
class CloseGeneration:
    """No process will be started with these options any more: close the spawner."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Keys changed in these options that need no restart: they hold for the spawner and its preloader, too."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class KeepLoaded:
    """Processes may have to be started with these old options at any time: keep the preloader."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class RestartOver:
    """A restart has come to its end, well or not."""

    group: Group
    restart: Restart


Action = (
    Grant
    | Refuse
    | Spawn
    | CallOff
    | Watch
    | Retire
    | AskToStop
    | Terminate
    | Kill
    | Dispose
    | RunErrand
    | DropErrand
    | CloseGeneration
    | TakeOver
    | KeepLoaded
    | RestartOver
)
