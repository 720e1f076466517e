"""Requests that are over, on their way to UstRouter: kept as they are, and packed many at a time.

Rules.
1. The end of a request costs an append. Its head is kept until it is packed: those of MOST requests, for a tick of the
   courier. What is told of it is its path, id, start and method: no header of the client.
2. They are packed when there are MOST of them, or when the courier is about to send: many in one go take a third of the
   time that each takes between other things, and each call is made once for all of them.
3. Redaction happens here: of a path its digest, or what `telemetry.paths` says.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple

from passenger.core import tracing
from passenger.pool.session import RefusalReason
from passenger.request.observed import Seen
from passenger.telemetry.courier import Courier
from passenger.telemetry.records import pack_requests

MOST: Final = 64
"""Whatever their paths are, so many fit into an entry (`courier.LONGEST`): each has less than 1.5 KiB."""
LONGEST_PATH: Final = 1024
"""Bytes of a plain path that are told."""
_row: Final = attrgetter(  # a `records.Row`
    *("pid", "status", "ending", "refused", "is_own", "received", "sent"),
    *("arrived", "asked", "granted", "served", "done"),
)
_REFUSALS: Final = {
    RefusalReason.QUEUE_FULL: 1,
    RefusalReason.SPAWN_FAILED: 2,
    RefusalReason.BACKING_OFF: 3,
    RefusalReason.STOPPING: 4,
    RefusalReason.UNKNOWN_APP: 5,
}
_KNOWN_PATHS: Final = 4096


class AppRules(NamedTuple):
    """What is told of an application."""

    name: bytes
    rate: float
    paths: str
    longest: int
    """Bytes of a path that are told."""
    tells_app: bool


class RequestRecords:
    """Packs for one courier."""

    def __init__(self, courier: Courier, refused: Callable[[str, RefusalReason], None]) -> None:
        """`refused` is told of each request that the pool refused."""
        self._courier = courier
        self._refused = refused
        self._ended: list[Seen] = []
        self._digests: dict[bytes, bytes] = {}
        courier.gather = self.pack

    def end(self, seen: Seen) -> None:
        """Observer; `span` holds (AppRules, Trace), None = it is not told."""
        if seen.refusal is not None:
            seen.refused = _REFUSALS[seen.refusal]
            self._refused(seen.app, seen.refusal)
        if seen.span is not None:
            ended = self._ended
            ended.append(seen)
            if len(ended) == 1:
                self._courier.wake()
            elif len(ended) >= MOST:
                self.pack()

    def pack(self) -> None:
        """Hand over what there is, as one entry."""
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        texts: list[bytes] = []
        digests = self._digests
        for seen in ended:
            rules, trace = seen.span
            path, told = tracing.facts(trace)
            if rules.paths == "digest":
                shown = digests.get(path) or self._digest(path)
            else:
                shown = tracing.path_of(path)[: rules.longest]
            texts += (rules.name, shown, trace[2], told)
        rows = chain.from_iterable(map(_row, ended))  # without a line of ours for each of them
        self._courier.tell(pack_requests(len(ended), rows, texts), len(ended))

    def _digest(self, path: bytes) -> bytes:
        """Of the part of a head that says the path."""
        digest = blake2b(tracing.path_of(path), digest_size=8, person=b"passenger-path").hexdigest().encode()
        if len(self._digests) >= _KNOWN_PATHS:
            self._digests.clear()
        if len(path) <= LONGEST_PATH:
            self._digests[path] = digest
        return digest
