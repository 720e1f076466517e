"""What travels from the watchdog to UstRouter on an inherited descriptor, by the rules of `instance.plan`."""

from __future__ import annotations

from typing import Any, Final

from passenger.lazy_dataclass import dataclass

ROUTER_FD_VARIABLE: Final = "PASSENGER_ROUTER_FD"
"""Environment variable with the number of the descriptor that holds a RouterLaunch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterLaunch:
    """Everything UstRouter needs. Descriptors are inherited under the numbers given."""

    name: str
    version: str
    telemetry: dict[str, Any]
    """`resolved.encode(Routes, secrets=True)`, of `config.telemetry`."""
    records_fd: int
    """Message socket (SOCK_SEQPACKET) to the core: packets of `telemetry.records` in, reports (JSON) out."""
    feedback_fd: int
    """To the watchdog, as that of the core."""
    log_level: str
    log_format: str
