"""What happens to the pool. `decide` turns each into a change of the ledger and a list of actions."""

from __future__ import annotations

from collections.abc import Mapping

from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.pool.limits import PoolLimits
from passenger.pool.model import Group, Process, Spawning
from passenger.pool.session import Session, Waiter
from passenger.spawn.spawner import RunningProcess, SpawnError


@dataclass(frozen=True, slots=True)
class Started:
    """Time to bring every group to its `min_instances`."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request wants a session."""

    group: Group
    waiter: Waiter


@dataclass(frozen=True, slots=True)
class Pinned:
    """Somebody wants a session with this process and no other, and it has no free place."""

    process: Process
    waiter: Waiter


@dataclass(frozen=True, slots=True)
class ErrandAsked:
    """A process wants time without requests."""

    process: Process


@dataclass(frozen=True, slots=True)
class ErrandOver:
    """It had that."""

    process: Process


@dataclass(frozen=True, slots=True)
class Departed:
    """A request that waits is wanted no more, or has waited for too long."""

    waiter: Waiter
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """A session has ended."""

    session: Session


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No connection to an enabled process could be made; the session is to be released."""

    session: Session
    error: SpawnError
    wall: float


@dataclass(frozen=True, slots=True)
class Ready:
    """A process is ready for requests."""

    spawning: Spawning
    running: RunningProcess


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """A process could not be started."""

    spawning: Spawning
    error: SpawnError
    wall: float


@dataclass(frozen=True, slots=True)
class Exited:
    """A process has ended; `error` describes it for the case that it ended too soon and unasked."""

    process: Process
    error: SpawnError
    wall: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Somebody wants the process to take no further request and to end when it has finished the ones it runs."""

    process: Process
    why: str


@dataclass(frozen=True, slots=True)
class Condemned:
    """Somebody wants the process to end without waiting for its requests."""

    process: Process
    why: str
    patience: float
    """Seconds between SIGTERM and SIGKILL; 0 = SIGKILL at once."""


@dataclass(frozen=True, slots=True)
class Outlived:
    """Somebody wants the process to be replaced: it serves until its successor is ready."""

    process: Process
    why: str


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """Somebody wants new processes for these applications."""

    groups: tuple[Group, ...]
    method: str
    """`rolling` or `blocking`; "" = as configured."""
    why: str


@dataclass(frozen=True, slots=True)
class OnDemand:
    """Whether processes are to be started for requests only, whatever `min_instances` says, and anew from now on."""

    group: Group
    is_so: bool
    why: str


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """New limits and the complete new set of applications."""

    limits: PoolLimits
    apps: Mapping[str, App]


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Serve what waits, take nothing new, let every process end."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The time to stop is over: refuse what waits, kill what runs."""


Event = (
    Started
    | Arrived
    | Pinned
    | ErrandAsked
    | ErrandOver
    | Departed
    | Released
    | Unreachable
    | Ready
    | SpawnFailed
    | Exited
    | Withdrawn
    | Condemned
    | Outlived
    | RestartAsked
    | OnDemand
    | Reconfigured
    | Ticked
    | Stopped
    | GivenUp
)
