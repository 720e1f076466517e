"""What can come out of the spawn talk (`passenger.wire.spawn`): output, progress, and its three possible ends."""

from __future__ import annotations

import enum

from passenger.lazy_dataclass import dataclass


class Fault(enum.Enum):
    """What was wrong with the talk; the values are stable category names."""

    VERSION = "handshake-version"
    TOO_MANY_HANDSHAKES = "handshake-repeated"
    UNEXPECTED = "unexpected-control-line"
    TOO_LONG = "control-line-too-long"
    NOT_TEXT = "control-line-not-text"
    BAD_PAIR = "bad-ready-line"
    UNKNOWN_KEY = "unknown-ready-key"
    BAD_SOCKET = "bad-socket-line"
    BAD_ADDRESS = "bad-socket-address"
    BAD_CONCURRENCY = "bad-socket-concurrency"
    BAD_PID = "bad-pid-line"
    DUPLICATE_SOCKET = "duplicate-socket"
    NO_SOCKET = "no-request-socket"
    TOO_MANY_SOCKETS = "too-many-sockets"
    ENDED_EARLY = "ended-before-handshake"
    ENDED_LOADING = "ended-before-ready"
    ENDED_ANNOUNCING = "ended-inside-ready"


@dataclass(frozen=True, slots=True)
class AnnouncedSocket:
    """A request socket as the loader names it: well-formed, not yet checked."""

    name: str
    address: str
    protocol: str
    concurrency: int


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that belong to the application's output; lines may be split over events."""

    data: bytes


@dataclass(frozen=True, slots=True)
class RequestWanted:
    """The handshake came: send the request block."""


@dataclass(frozen=True, slots=True)
class AnswerBegan:
    """The application is loaded; its sockets follow."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The whole Ready block."""

    sockets: tuple[AnnouncedSocket, ...]
    pid: int | None
    interrupts: bool = False
    """It interrupts a single request when its stdin names the connection, and shows its stacks on SIGQUIT."""
    errands: bool = False
    """It takes the request for out-of-band work of `wire.errand`."""


@dataclass(frozen=True, slots=True)
class Explained:
    """The whole Error block. `html` says that the loader marked its text as HTML."""

    text: str
    html: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """The talk cannot go on."""

    fault: Fault
    detail: str


Event = Output | RequestWanted | AnswerBegan | Ready | Explained | Broken
