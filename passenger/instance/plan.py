"""What travels between the processes of an instance on inherited descriptors: the Plan and the CoreLaunch.

`passenger start` makes a `Plan` and becomes the watchdog, which reads it from an inherited descriptor. On reload a
short-lived child (`reload_argv`) makes a new one. The watchdog hands the core a `CoreLaunch` in the same way.
Neither the watchdog nor the core ever opens a configuration file.

Rules.
1. Standard library only; no asyncio (the watchdog imports this).
2. The documents may carry secrets: they live in anonymous memory (memfd), never in a file, argv or environment.
3. The watchdog treats `core_config` as opaque apart from the fields that this module copies out for it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, field, fields
from typing import Any, TypeVar

from passenger.instance.router_launch import RouterLaunch
from passenger.lazy_dataclass import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """One TCP address that the watchdog binds for nginx (numeric host, `*` and `[::]` already resolved)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything the watchdog needs to run one instance."""

    name: str
    version: str
    instance_dir: str
    core_config: dict[str, Any]
    """`resolved.encode(InstanceConfig, secrets=True)`."""
    shown_config: dict[str, Any]
    """The same without secrets: written to `config.json`."""
    config_files: list[str]
    urls: dict[str, str]
    """App name -> URL a person can open; printed when ready."""
    connect_secret: str
    core_argv: list[str]
    reload_argv: list[str]
    """Command that reads the running Plan as JSON on stdin, writes a new Plan as JSON to stdout (exit 0), or the
    reasons to stderr (exit 78 or another non-zero status)."""
    log_level: str
    log_format: str
    drain_delay: float
    drain_timeout: float
    start_timeout: float
    max_crashes: int
    crash_window: float
    core_uid: int | None
    """Not None only when started as root: the core is started as this user (0 = it keeps root)."""
    core_gid: int | None
    request_gid: int | None
    """Group that owns the request sockets (0660); None = leave the creator's."""
    apps_dir_mode: int
    """Mode of `apps/` (0o700; 0o1733 when the core keeps root; owner is the core's user)."""
    nginx_mode: str
    nginx_argv: list[str]
    """Program and first arguments; the watchdog appends `-p`, `-c`, `-g`. Empty unless mode is managed."""
    nginx_files: dict[str, str]
    """Relative file name -> text, for `nginx/<generation>/`; empty in mode off."""
    nginx_listen: list[Listen]
    allowed_uids: list[int] = field(default_factory=list)
    """Users that may connect to the request sockets (nginx's workers); goes into `CoreLaunch.allowed_uids`."""
    reader_uids: list[int] = field(default_factory=list)
    """Users that may look at the instance (`admin.readers`)."""
    reader_gids: list[int] = field(default_factory=list)
    """Groups that may."""
    log_file: str = ""
    """File that `passenger start` put stdout and stderr into; "" = they are somebody else's."""
    nginx_log_file: bool = False
    """Whether nginx opens an access log of its own."""
    waiting_keys: list[str] = field(default_factory=list)
    """Keys whose values in the files differ from what runs, until the instance is started again."""
    pid_file: str = ""
    """File that names the watchdog (or the parent of several), who removes it at the end; "" = none."""
    reload_on_change: bool = False
    """Whether a change of `config_files` is a reload."""
    router_argv: list[str] = field(default_factory=list)
    """UstRouter's program."""
    router_uid: int | None = None
    """Not None only when started as root: UstRouter is started as this user, that of the nginx workers."""
    router_gid: int | None = None
    telemetry: dict[str, Any] | None = None
    """`resolved.encode(Routes, secrets=True)`; None = no sink is configured, so there is no UstRouter."""
    readiness_fd: int | None = None
    """Where `start --daemonize` waits: one line of JSON `{"ready": true}` or `{"error": "..."}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreLaunch:
    """Everything the core needs. Descriptors are inherited under the numbers given."""

    name: str
    version: str
    instance_dir: str
    config: dict[str, Any]
    connect_secret: str
    allowed_uids: list[int]
    """Users that may connect to the request sockets (SO_PEERCRED)."""
    sockets: dict[str, int]
    """Listening sockets by name: `request`, `request_http`, `core_api`, with readers also `core_api_ro`; and
    `telemetry`, the message socket to UstRouter."""
    owner_uid: int
    """Who started the instance, and may ask everything of the core; the same may root."""
    reader_uids: list[int]
    reader_gids: list[int]
    """Who may look."""
    feedback_fd: int
    """Stream socket to the watchdog: newline JSON both ways (`passenger.wire.control`)."""
    log_level: str
    log_format: str
    kept: dict[str, Any] = field(default_factory=dict)
    """What the core before has asked the watchdog to tell this one, by key."""
    status_wanted: bool = False
    """Whether somebody (a service manager) reads a line about applications and the queue."""


def dump(document: Plan | CoreLaunch | RouterLaunch) -> bytes:
    """A document as JSON bytes."""
    return json.dumps(asdict(document)).encode()


def load(kind: type[T], data: bytes) -> T:
    """JSON bytes -> document. Raises ValueError when the two programs are not of one version."""
    raw = json.loads(data)
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if set(raw) != names:
        raise ValueError(f"{kind.__name__}: unexpected {sorted(set(raw) ^ names)}: mixed versions of passenger?")
    if kind is Plan:
        raw["nginx_listen"] = [Listen(**item) for item in raw["nginx_listen"]]
    return kind(**raw)


def to_memory(document: Plan | CoreLaunch | RouterLaunch) -> int:
    """Put a document into anonymous memory; returns a descriptor at offset 0 (close-on-exec: pass it explicitly)."""
    fd = os.memfd_create("passenger", os.MFD_CLOEXEC)
    data = dump(document)
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def from_descriptor(kind: type[T], fd: int) -> T:
    """Read a document from a descriptor to its end and close it."""
    with os.fdopen(fd, "rb") as stream:
        return load(kind, stream.read())
