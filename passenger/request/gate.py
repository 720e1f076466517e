"""The gate in front of an application's queue, which an operator closes: for a while, or for maintenance.

Rules.
1. A gate exists only while it is closed: an application without one costs a request nothing.
2. Paused: requests are held in order, at most `max_request_queue_size` of them, each at most `hold` seconds; then it is
   answered like one that has waited too long. The pause itself has no end: who paused says when it is safe.
3. Maintenance: every request is answered 503 with Retry-After, but for those from `allow`. It comes before a pause.
4. What a process has already is finished, WebSockets that are open stay.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from passenger.lazy_dataclass import dataclass
from passenger.wire.status import TrafficStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Requests wait."""

    since: float
    """Seconds since the epoch."""
    hold: float
    """Seconds that each is held at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """Requests are answered 503."""

    since: float
    retry_after: int
    """Seconds, for clients."""
    page: str
    """HTML; "" = Passenger's own words."""
    allow: tuple[str, ...]
    """Addresses and networks whose requests pass."""


class Held(Protocol):
    """A request that a pause holds. Hashable by identity."""

    def pass_on(self) -> None:
        """The pause is over: go on."""
        ...


class Gate:
    """What one application's requests meet now."""

    def __init__(self) -> None:
        self.pause: Pause | None = None
        self.maintenance: Maintenance | None = None
        self.held: OrderedDict[Held, None] = OrderedDict()
        self.turned_away = 0
        self.expired = 0
        self.refused = 0
        """Requests that came when as many as may be were held."""
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []

    def is_open(self) -> bool:
        return self.pause is None and self.maintenance is None

    def maintain(self, maintenance: Maintenance | None) -> None:
        self.maintenance = maintenance
        allow = () if maintenance is None else maintenance.allow
        self._networks = [ipaddress.ip_network(text, strict=False) for text in allow]

    def lets_in(self, address: str) -> bool:
        """Whether a client at this address passes in spite of maintenance."""
        try:
            numeric = ipaddress.ip_address(address)
        except ValueError:  # of a Unix socket: nobody can be told from anybody else
            return False
        if isinstance(numeric, ipaddress.IPv6Address) and numeric.ipv4_mapped is not None:
            numeric = numeric.ipv4_mapped
        return any(numeric in network for network in self._networks)

    def kept(self) -> dict[str, Any] | None:
        """What the next core has to know, should this one die; None = nothing."""
        if self.is_open():
            return None
        return {
            "pause": None if self.pause is None else asdict(self.pause),
            "maintenance": None if self.maintenance is None else asdict(self.maintenance),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take over what `kept` has said. Raises TypeError or ValueError for anything else."""
        if kept.get("pause"):
            self.pause = Pause(**kept["pause"])
        if said := kept.get("maintenance"):
            self.maintain(Maintenance(**{**said, "allow": tuple(said["allow"])}))

    def status(self) -> TrafficStatus:
        pause, maintenance = self.pause, self.maintenance
        return {
            "paused_at": None if pause is None else pause.since,
            "hold": None if pause is None else pause.hold,
            "held": len(self.held),
            "expired": self.expired,
            "refused": self.refused,
            "maintenance_at": None if maintenance is None else maintenance.since,
            "allow": [] if maintenance is None else list(maintenance.allow),
            "turned_away": self.turned_away,
        }
