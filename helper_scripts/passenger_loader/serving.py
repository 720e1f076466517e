"""A WSGI application becomes a process that takes requests."""

from __future__ import annotations

from .server import Server
from .talk import say

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def serve(app: Any, options: Mapping[str, str]) -> int:
    """Announce the socket and answer until the end; returns the exit status. Raises OSError, KeyError, ValueError."""
    server = Server(
        app=app,
        socket_dir=options["socket_dir"],
        password=options.get("connect_password", ""),
        threads=int(options.get("thread_count", "1")),
    )
    say(server.announcement(options.get("interrupts")))
    return server.run()
