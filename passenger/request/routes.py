"""What a request needs to know about its application, worked out once per configuration and not once per request."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.request.door import Door, door_of
from passenger.request.gate import Gate
from passenger.request.wheel import NEVER, ticks

NO_GATES: Final[Mapping[str, Gate]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Route:
    """One application, in the forms of the hot path."""

    name: str
    base_uri: bytes
    """Empty for `/`."""
    response_ticks: int
    """`response_timeout` in ticks of the wheel, or NEVER."""
    rest_ticks: int
    """`websocket_idle_timeout`, likewise."""
    queue_ticks: int
    """`max_request_queue_time`, likewise; NEVER while a pause holds requests, which has a limit of its own."""
    request_ticks: int
    """`max_request_time`, likewise."""
    queue_full_status: int
    queue_time_status: int
    spawn_failed_status: int
    explains_errors: bool
    door: Door | None
    """What is special about its requests; None for the usual application."""
    hold_ticks: int
    """How long a pause holds a request, or NEVER."""
    page: bytes | None
    """What is sent instead of a page of ours where errors are not explained."""


def routes_of(
    apps: Mapping[str, App], pages: Mapping[str, bytes], gates: Mapping[str, Gate] = NO_GATES
) -> dict[bytes, Route]:
    """PASSENGER_APP -> Route. `pages`: the own error pages of those that have one; `gates`: those that are closed."""
    return {name.encode(): _route(name, app, pages.get(name), gates.get(name)) for name, app in apps.items()}


def _route(name: str, app: App, page: bytes | None, gate: Gate | None) -> Route:
    explains = app.friendly_error_pages
    pause = None if gate is None else gate.pause
    return Route(
        name=name,
        base_uri=b"" if app.base_uri == "/" else app.base_uri.encode(),
        response_ticks=_limit(app.response_timeout),
        rest_ticks=_limit(app.websocket_idle_timeout),
        queue_ticks=NEVER if pause else _limit(app.max_request_queue_time),
        request_ticks=_limit(app.max_request_time),
        queue_full_status=app.request_queue_overflow_status_code,
        queue_time_status=app.request_queue_timeout_status_code,
        spawn_failed_status=app.spawn_exception_status_code,
        explains_errors=app.app_env == "development" if explains is None else explains,
        door=door_of(app, gate),
        hold_ticks=_limit(pause.hold) if pause else NEVER,
        page=page,
    )


def _limit(seconds: float) -> int:
    return ticks(seconds) if seconds else NEVER
