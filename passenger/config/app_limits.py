"""Keys of `[apps.NAME]` that bound its processes: how long they live, how much they take, what the kernel allows them.

The rules of `passenger.config.model` hold. Sizes that may also be a share of the visible memory stay text here:
only the machine that runs the application knows what they come to (`passenger.config.amounts`).
"""

from __future__ import annotations

from passenger.config.app_requests import AppRequests
from passenger.config.declare import key
from passenger.config.patterns import (
    AMOUNT_HELP,
    AMOUNT_PATTERN,
    CPUS_HELP,
    CPUS_PATTERN,
    ROOM_HELP,
    ROOM_PATTERN,
    SHARE_HELP,
    SHARE_PATTERN,
    UNLIMITED_PATTERN,
)
from passenger.lazy_dataclass import dataclass

MOST_FILES = 1024 * 1024 * 1024


def _count(what: str, example: int) -> int | str | None:
    found: int | str | None = key(
        what,
        default=None,
        minimum=0,
        maximum=MOST_FILES,
        pattern=UNLIMITED_PATTERN,
        pattern_help="an integer or `unlimited`",
        example=example,
        default_doc="what Passenger itself was started with",
    )
    return found


def _room(what: str, example: str) -> str | None:
    found: str | None = key(
        what,
        default=None,
        unit="amount",
        pattern=ROOM_PATTERN,
        pattern_help=ROOM_HELP,
        example=example,
        default_doc="what Passenger itself was started with",
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRlimits:
    """`[apps.NAME.rlimits]`: the kernel's limits (setrlimit) of each process, soft and hard alike."""

    nofile: int | str | None = _count("Descriptors (files, sockets) open at the same time.", 4096)
    nproc: int | str | None = _count(
        "Processes and threads of the application's user, all its processes together.", 512
    )
    core: str | None = _room("Size of a core dump.", "0B")
    address_space: str | None = _room("Virtual memory. Rarely what is wanted: see `memory_limit`.", "8GiB")
    data: str | None = _room("Heap and other private writable memory.", "1GiB")
    stack: str | None = _room("Stack of the first thread.", "8MiB")
    fsize: str | None = _room("Size of a file that it writes; a write beyond it gets SIGXFSZ.", "1GiB")
    memlock: str | None = _room("Memory that may be locked against swapping.", "64KiB")
    cpu: float | None = key(
        "CPU time in a whole life; then it gets SIGXCPU. Whole seconds.",
        default=None,
        unit="duration",
        minimum=1,
        example="6h",
        default_doc="what Passenger itself was started with",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCgroup:
    """`[apps.NAME.cgroup]`: limits of all processes of the application together, in a cgroup v2 of its own.

    Needs a delegated cgroup (systemd: `Delegate=yes`).
    """

    memory_max: str | None = key(
        "Memory of all its processes; when it is used up, the kernel kills one of them.",
        default=None,
        unit="amount",
        reload="live",
        pattern=AMOUNT_PATTERN,
        pattern_help=AMOUNT_HELP,
        example="2GiB",
    )
    memory_high: str | None = key(
        "Memory above which its processes are slowed down and their memory is reclaimed.",
        default=None,
        unit="amount",
        reload="live",
        pattern=AMOUNT_PATTERN,
        pattern_help=AMOUNT_HELP,
        example="1500MiB",
    )
    cpu_max: str | None = key(
        "CPU time that all its processes get together.",
        default=None,
        reload="live",
        pattern=CPUS_PATTERN,
        pattern_help=CPUS_HELP,
        example="150%",
    )
    pids_max: int | None = key(
        "Processes and threads of the application together.", default=None, minimum=1, reload="live", example=200
    )


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)  # only a layer of App
class AppLimits(AppRequests):
    """What bounds the processes of an application."""

    max_requests: int = key(
        "A process that has served this many requests is replaced. 0 = no limit.", default=0, minimum=0, reload="live"
    )
    max_requests_jitter: str = key(
        "Share of `max_requests` by which each process is replaced earlier, at random, so that not all are at once.",
        default="10%",
        reload="live",
        pattern=SHARE_PATTERN,
        pattern_help=SHARE_HELP,
    )
    max_worker_age: float = key(
        "A process of this age is replaced. `0s` = no limit.", default=0.0, unit="duration", reload="live"
    )
    max_worker_age_jitter: str = key(
        "Share of `max_worker_age` by which each process is replaced earlier, at random.",
        default="10%",
        reload="live",
        pattern=SHARE_PATTERN,
        pattern_help=SHARE_HELP,
    )
    memory_limit: str | None = key(
        "A process that takes more memory than this is replaced: it finishes its requests. Counted is what would be "
        "free without it (private and swapped memory), or its resident size where the kernel does not tell that.",
        default=None,
        unit="amount",
        reload="live",
        pattern=AMOUNT_PATTERN,
        pattern_help=AMOUNT_HELP,
        example="512MiB",
    )
    hard_memory_limit: str | None = key(
        "A process that takes more memory than this is killed at once, and its requests fail.",
        default=None,
        unit="amount",
        reload="live",
        pattern=AMOUNT_PATTERN,
        pattern_help=AMOUNT_HELP,
        example="1GiB",
    )
    nice: int | None = key(
        "Scheduling priority of its processes: 19 yields to everybody, values below that of Passenger need root.",
        default=None,
        minimum=-20,
        maximum=19,
        example=5,
        default_doc="that of Passenger",
    )
    cpu_affinity: tuple[int, ...] = key(
        "CPUs, by number, on which its processes run. None = all that Passenger may use.",
        default=(),
        minimum=0,
        maximum=8191,
        example=[0, 1],
    )
    oom_score_adj: int | None = key(
        "How soon the kernel kills its processes when memory runs out: 1000 first, -1000 never; values below that of "
        "Passenger need root.",
        default=None,
        minimum=-1000,
        maximum=1000,
        example=200,
        default_doc="that of Passenger",
    )
    rlimits: AppRlimits = key("The kernel's limits of each process.", table=AppRlimits)
    cgroup: AppCgroup = key("Limits of all its processes together.", table=AppCgroup)
