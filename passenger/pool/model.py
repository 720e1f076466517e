"""The nouns of the pool as plain records: Socket, Process, Generation, Spawning, Group.

Rules.
1. No I/O, no clock, no event loop: the time comes in as `now` (seconds, monotonic).
2. Records hold state and answer questions about themselves; `ledger` changes several of them in step.
3. Everything is compared and hashed by identity.
"""

from __future__ import annotations

import enum
import math
import secrets
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.pool.backoff import Backoff
from passenger.pool.counters import Counters
from passenger.pool.places import Places
from passenger.pool.restart import Restart
from passenger.pool.session import IdleConnection, LongSession, Waiter
from passenger.pool.tiers import Tiers
from passenger.spawn.spawner import AppSocket, RunningProcess, SocketProtocol, SpawnError

if TYPE_CHECKING:
    from passenger.pool.ledger import Ledger


RETIREMENTS: Final = 5
"""How many retirements of a group are remembered."""


class ProcessState(enum.Enum):
    """The life of a process in the pool; `status` shows the values."""

    ENABLED = "enabled"
    """Takes requests."""
    ASIDE = "aside"
    """Takes none for now, and will: it waits for others of its first set."""
    DRAINING = "draining"
    """Takes no new request, still runs some."""
    STOPPING = "stopping"
    """Runs nothing; was asked to end."""
    GONE = "gone"
    """Has ended."""


class Socket:
    """One socket of a process. `idle` belongs to the request layer: connections parked there for the next session."""

    __slots__ = ("address", "concurrency", "idle", "name", "protocol", "sessions")

    def __init__(self, announced: AppSocket) -> None:
        self.name = announced.name
        self.address = announced.address
        self.protocol: SocketProtocol = announced.protocol
        self.concurrency = announced.concurrency
        self.idle: list[IdleConnection] = []
        self.sessions = 0

    def is_free(self) -> bool:
        return self.concurrency == 0 or self.sessions < self.concurrency

    def __repr__(self) -> str:
        return f"<Socket {self.name} {self.sessions}/{self.concurrency or 'inf'}>"


class Generation:
    """What processes of a group are started with: its options, a preloader. Every restart begins a new one."""

    __slots__ = ("app", "number")

    def __init__(self, number: int, app: App) -> None:
        self.number = number
        self.app = app

    def __repr__(self) -> str:
        return f"<Generation {self.number}>"


class Spawning:
    """A process that is being started.

    `surge`: it is to replace another process, so until it is ready it counts beside the limits.
    """

    __slots__ = ("began_at", "generation", "group", "surge")

    def __init__(self, group: Group, *, surge: bool, now: float) -> None:
        self.group = group
        self.generation = group.generation if surge else group.refilling
        self.surge = surge
        self.began_at = now

    def limit(self) -> float | None:
        """Seconds that all of it may take. A preloader and a fork, say, have `start_timeout` each otherwise."""
        app = self.generation.app
        return app.start_timeout + app.health_timeout if self.surge else None

    def __repr__(self) -> str:
        return f"<Spawning {self.group.name} g{self.generation.number}{' surge' if self.surge else ''}>"


@dataclass(frozen=True, slots=True)
class Retirement:
    """That a process was taken out of service."""

    pid: int
    why: str
    at: float
    processed: int


class Process:
    """A process of an application that was ready once."""

    __slots__ = (
        "beside",
        "concurrency",
        "connect_password",
        "expires_at",
        "generation",
        "group",
        "gupid",
        "last_used",
        "luck",
        "only_socket",
        "pid",
        "pinned",
        "pinned_had_turn",
        "processed",
        "retire_at",
        "retired_at",
        "retired_why",
        "route",
        "running",
        "sessions",
        "signals_sent",
        "sockets",
        "spawn_seconds",
        "started_at",
        "state",
        "stop_asked_at",
        "takes_errands",
        "takes_interrupts",
        "upgraded",
    )

    def __init__(self, group: Group, generation: Generation, running: RunningProcess, *, now: float) -> None:
        self.group = group
        self.generation = generation
        self.running = running
        self.pid = running.pid
        self.gupid = running.gupid
        self.connect_password = running.connect_password
        self.spawn_seconds = running.spawn_seconds
        self.takes_interrupts = running.takes_interrupts
        self.takes_errands = running.takes_errands
        self.sockets = tuple(Socket(announced) for announced in running.sockets)
        self.only_socket = self.sockets[0] if len(self.sockets) == 1 else None
        limits = [socket.concurrency for socket in self.sockets]
        self.concurrency = 0 if 0 in limits else sum(limits)
        self.state = ProcessState.ENABLED
        self.sessions = 0
        self.beside = 0
        """Sessions that take no place."""
        self.processed = 0
        self.started_at = now
        self.last_used = now
        """When it was last seen busy: the end of its last session, or when it became ready."""
        self.route = secrets.token_urlsafe(16)
        """By which clients of sticky sessions find it again; nobody can guess it."""
        self.pinned: OrderedDict[Waiter, None] = OrderedDict()
        """Those that wait for this process and no other."""
        self.pinned_had_turn = False
        self.luck = 0.0
        """Its own share of the jitter of limits, in [0, 1)."""
        self.retire_at = math.inf
        """Number of requests after which it is worn."""
        self.expires_at = math.inf
        self.retired_at = 0.0
        self.retired_why = ""
        self.stop_asked_at = 0.0
        self.upgraded: dict[LongSession, None] = {}
        """Kept by the request layer: who is to be told when the process is retired."""
        self.signals_sent = 0
        """0 none, 1 SIGTERM, 2 SIGKILL."""

    def takes_requests(self) -> bool:
        return self.state is ProcessState.ENABLED

    def stays(self) -> bool:
        """Nobody has told it to go."""
        return self.state is ProcessState.ENABLED or self.state is ProcessState.ASIDE

    def has_place(self) -> bool:
        """Whether it could take a request now."""
        return self.state is ProcessState.ENABLED and (not self.concurrency or self.sessions < self.concurrency)

    def is_busy(self) -> bool:
        return bool(self.sessions or self.beside)

    def is_engaged(self) -> bool:
        """Whether it runs requests that will end soon: no WebSockets, and none that take no place."""
        return self.sessions > len(self.upgraded)

    def least_busy_socket(self) -> Socket:
        """A socket with a free place. Only for processes with several sockets; they have a handful at most."""
        return min((socket for socket in self.sockets if socket.is_free()), key=lambda socket: socket.sessions)

    def close_parked(self) -> None:
        """Close the connections that wait for a next session."""
        for socket in self.sockets:
            while socket.idle:
                socket.idle.pop().close()

    def __repr__(self) -> str:
        load = f"{self.sessions}/{self.concurrency or 'inf'}"
        return f"<Process {self.pid} {self.group.name} g{self.generation.number} {self.state.value} {load}>"


class Group:
    """One application: its processes, the requests that wait for one, and how its starts have gone."""

    def __init__(self, name: str, app: App, ledger: Ledger) -> None:
        self.name = name
        self.generation = Generation(1, app)
        self.last_number = 1
        self.fallback: Generation | None = None
        """The generation to return to when the first process of a new one cannot be started; until then whatever is
        not part of the restart is started with it."""
        self.restart: Restart | None = None
        """The latest one."""
        self.places: Places | Tiers = Places(ledger.idle)
        self.processes: dict[Process, None] = {}
        """All that have not ended, in the order in which they became ready."""
        self.enabled = 0
        self.outdated: dict[Process, None] = {}
        """Enabled processes of an older generation: they serve until a new one takes their place."""
        self.outlived: dict[Process, str] = {}
        """Enabled processes that are to be replaced for a reason of their own: no restart, they are just too old."""
        self.aside: dict[Process, None] = {}
        self.wishes: dict[Process, None] = {}
        """Enabled processes that want time for out-of-band work, in order."""
        self.errands: dict[Process, float] = {}
        """Those of `aside` that have it (inf), or finish what they run first, and by when."""
        self.is_gathering = True
        """Nothing serves yet: the first processes may have to wait for each other (`ready_when`)."""
        self.is_on_demand = False
        """`always_restart.txt` is there: processes are started for requests only."""
        self.spawning: dict[Spawning, None] = {}
        self.surging = 0
        """How many of `spawning` are surges."""
        # An OrderedDict, because taking the first of a plain dict again and again costs more each time.
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
        self.pinned = 0
        """Requests that wait for one process each; they are in none of `waiters`."""
        self.routes: OrderedDict[str, Process] = OrderedDict()
        """Processes that have served and stay, by their `route`."""
        self.places_each = app.thread_count
        """Concurrency of a process, learnt from the newest one; 0 = no limit."""
        self.backoff = Backoff()
        self.last_error: SpawnError | None = None
        self.last_error_at = 0.0
        """Wall clock."""
        self.leaving = False
        """Removed from the configuration, or the pool stops: serves its queue, then goes."""
        self.started = False
        """Had `min_instances` processes once, or could not start one."""
        self.counters = Counters()
        self.retirements: deque[Retirement] = deque(maxlen=RETIREMENTS)
        """The last ones."""

    @property
    def app(self) -> App:
        return self.generation.app

    @property
    def refilling(self) -> Generation:
        """What processes are started with that are no part of a restart."""
        return self.generation if self.fallback is None else self.fallback

    @property
    def minimum(self) -> int:
        """Processes to keep while idle."""
        if self.leaving or self.is_on_demand:
            return 0
        app = self.generation.app
        return app.min_instances if app.max_instances is None else min(app.min_instances, app.max_instances)

    @property
    def capacity(self) -> int:
        """Processes that count against the limits: ready ones and ones being started; surges come on top."""
        return self.enabled + len(self.aside) + len(self.spawning) - self.surging

    def room(self) -> int | None:
        """Processes that `max_instances` still allows; negative after it was lowered; None = it sets no limit."""
        most = self.generation.app.max_instances
        return None if most is None else most - self.capacity

    def is_queue_full(self) -> bool:
        most = self.generation.app.max_request_queue_size
        return bool(most) and len(self.waiters) + self.pinned >= most

    def is_hopeless(self, now: float) -> bool:
        """No process serves, none is on its way and none will be tried for now."""
        return not (self.enabled or self.aside or self.spawning) and self.backoff.is_waiting(now)

    def is_gathered(self) -> bool:
        """Whether the processes that are ready may serve."""
        if not self.is_gathering or self.generation.app.ready_when == "first":
            return True
        return len(self.aside) >= self.minimum

    def is_rolling(self) -> bool:
        """A restart replaces processes one by one."""
        return self.restart is not None and not self.restart.is_cold and self.restart.is_running()

    def is_finished(self) -> bool:
        return self.leaving and not (self.waiters or self.spawning or self.processes)

    def __repr__(self) -> str:
        parts = [f"g{self.generation.number}", f"enabled={self.enabled}", f"spawning={len(self.spawning)}"]
        parts += [f"queue={len(self.waiters)}", f"free={self.places.free}", f"processes={len(self.processes)}"]
        if self.backoff.failures:
            parts.append(f"failures={self.backoff.failures}")
        if self.leaving:
            parts.append("leaving")
        return f"<Group {self.name} {' '.join(parts)}>"
