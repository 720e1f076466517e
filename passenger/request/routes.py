"""What a request needs to know about its application, worked out once per configuration and not once per request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from passenger.config.model import App
from passenger.request.wheel import NEVER, ticks


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
    explains_errors: bool


def routes_of(apps: Mapping[str, App]) -> dict[bytes, Route]:
    """PASSENGER_APP -> Route."""
    return {name.encode(): _route(name, app) for name, app in apps.items()}


def _route(name: str, app: App) -> Route:
    explains = app.friendly_error_pages
    return Route(
        name=name,
        base_uri=b"" if app.base_uri == "/" else app.base_uri.encode(),
        response_ticks=_limit(app.response_timeout),
        rest_ticks=_limit(app.websocket_idle_timeout),
        explains_errors=app.app_env == "development" if explains is None else explains,
    )


def _limit(seconds: float) -> int:
    return ticks(seconds) if seconds else NEVER
