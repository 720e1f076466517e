"""Shapes of the answer to the `status` verb of `core_api`: the core fills them, the command line shows them.

Times are seconds (durations, or seconds since the epoch where the name ends in `_at`); memory is bytes; None = unknown.
"""

from __future__ import annotations

from typing import Literal, TypedDict

ProcessWord = Literal["enabled", "aside", "working", "draining", "stopping"]


class ProcessStatus(TypedDict):
    pid: int
    gupid: str
    state: ProcessWord
    generation: int
    outdated: bool
    """It runs what was there before the latest restart."""
    retired_because: str
    cut_in: float | None
    """Seconds until requests that it still runs are cut; None = they are not, or it does not drain."""
    concurrency: int
    sessions: int
    processed: int
    spawn_seconds: float
    uptime: float
    idle_for: float
    rss: int | None
    pss: int | None
    private: int | None
    cpu_seconds: float | None


class PreloaderStatus(TypedDict):
    """The process that has loaded the application and forks the others: it shares most of its memory with them."""

    pid: int
    rss: int | None
    pss: int | None
    private: int | None


class RestartStatus(TypedDict):
    """The latest restart of an application."""

    state: Literal["running", "done", "failed"]
    method: str
    why: str
    """What triggered it."""
    generation: int
    done: int
    total: int
    """Processes: replaced so far, and to be replaced."""
    began_at: float
    ended_at: float | None
    error: LastError | None


class LastError(TypedDict):
    id: str
    summary: str
    at: float


class GroupCounters(TypedDict):
    requests: int
    refused_queue_full: int
    refused_queue_time: int
    refused_spawn_failed: int
    departed_in_queue: int
    requests_over_time: int
    """Those that ran longer than `max_request_time` ..."""
    requests_interrupted: int
    """... and of these the ones that ended alone ..."""
    processes_over_time: int
    """... and the processes that were ended for others."""
    spawns: int
    spawn_failures: int
    exits: int
    crashes: int
    """Of the exits: those that nobody had asked for."""
    restarts: int
    restarts_failed: int


class LimitStatus(TypedDict):
    """What its processes are held to; None = no such limit."""

    max_requests: int | None
    max_worker_age: float | None
    memory_limit: int | None
    hard_memory_limit: int | None
    cgroup: str | None
    """Folder of the cgroup of the application."""
    cgroup_memory: int | None
    """What is in use there."""


class RetirementStatus(TypedDict):
    """That a process was taken out of service."""

    pid: int
    why: str
    at: float
    processed: int


class TrafficStatus(TypedDict):
    """What an operator has told the gate of an application."""

    paused_at: float | None
    hold: float | None
    """Seconds that a request is held at most."""
    held: int
    expired: int
    """Requests that were held for too long."""
    refused: int
    """Those for which there was no room any more."""
    maintenance_at: float | None
    allow: list[str]
    """Addresses whose requests pass in spite of maintenance."""
    turned_away: int


class GroupStatus(TypedDict):
    name: str
    app_root: str
    app_type: str
    app_env: str
    min_instances: int
    max_instances: int
    queue: int
    max_request_queue_size: int
    spawning: int
    backing_off_for: float
    generation: int
    restart: RestartStatus | None
    preloader: PreloaderStatus | None
    last_error: LastError | None
    counters: GroupCounters
    limits: LimitStatus | None
    traffic: TrafficStatus | None
    """None = nobody has paused it or put it under maintenance."""
    retirements: list[RetirementStatus]
    """The last five, oldest first."""
    processes: list[ProcessStatus]


class PoolStatus(TypedDict):
    max_pool_size: int
    processes: int
    spawning: int
    queue: int
    groups: list[GroupStatus]


class RequestStatus(TypedDict):
    """Connections from the web server."""

    active: int
    handled: int
    malformed: int
    aborted: int
    upgraded: int
    """Requests that became tunnels (WebSockets) so far."""
    tunnels: int
    """Those that are open now."""


class ClientStatus(TypedDict):
    """One request that is on its way. Nothing of what the client sent: that may be secret."""

    state: str
    seconds: float | None
    """In this state."""
    app: str | None
    pid: int | None
    """The application process that works on it."""
    begun: bool
    """A part of the response went out."""


class ServerStatus(TypedDict):
    """The answer to the verb `server`: what the RequestHandler is doing."""

    requests: RequestStatus
    states: dict[str, int]
    """State -> number of clients."""
    draining: bool
    app_connections: int
    """Open connections to application processes."""
    clients: list[ClientStatus]
    """The oldest ones."""


class CoreStatus(TypedDict):
    name: str
    version: str
    core_pid: int
    started_at: float
    uptime: float
    state: Literal["starting", "running", "draining"]
    drained_at: float | None
    """Since when load balancers are told to send nothing; None = they are not."""
    pool: PoolStatus
    requests: RequestStatus
