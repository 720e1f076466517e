"""What the RequestHandler is doing, for `passenger-status --show=server`: worked out only when somebody asks."""

from __future__ import annotations

from collections import Counter
from typing import Final

from passenger.request.handler import RequestHandler
from passenger.request.webconnection import WebConnection
from passenger.wire.status import ServerStatus

MOST_CLIENTS: Final = 1000
"""Clients that are listed one by one; all are counted."""


def server_status(handler: RequestHandler) -> ServerStatus:
    """Counts of all clients, and the oldest of them."""
    clients = [rider.shown() for rider in handler.wheel.riders() if isinstance(rider, WebConnection)]
    clients.sort(key=lambda client: client["seconds"] or 0.0, reverse=True)
    return {
        "requests": handler.status(),
        "states": dict(Counter(client["state"] for client in clients)),
        "draining": handler.is_draining,
        "app_connections": len(handler.connections),
        "clients": clients[:MOST_CLIENTS],
    }
