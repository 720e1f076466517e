"""What stands between uvicorn and the application: who is asking, by which scheme, below which path.

Rules.
1. Only the core connects here, so its `X-Forwarded-*` headers are the truth. Its own word is the last one of each: what
   stands before it came from outside.
2. The path of our socket is a secret: the application is told of a server on localhost instead.
3. No coroutine of its own: the application's is handed on, so this costs a request one function call. What the core
   asks for itself does not reach the application.
"""

from __future__ import annotations

from .errand import HEADER, Errands, work

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any


class Front:
    """The application as uvicorn calls it."""

    def __init__(self, app: Any, base_uri: str) -> None:
        self.errands = Errands()
        self._app = app
        self._root_path = base_uri.rstrip("/")

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        headers = dict(scope["headers"])  # of a name that comes twice, the last one
        if HEADER in headers and self.errands.is_one(headers[HEADER]) and scope["type"] == "http":
            return work(send)
        secure = headers.get(b"x-forwarded-proto", b"")[-5:] == b"https"
        if scope["type"] == "websocket":
            scope["scheme"] = "wss" if secure else "ws"
        else:
            scope["scheme"] = "https" if secure else "http"
        scope["client"] = client(headers.get(b"x-forwarded-for", b""))
        port = headers.get(b"x-forwarded-port", b"")
        scope["server"] = ("localhost", int(port) if port.isdigit() else 443 if secure else 80)
        scope["root_path"] = self._root_path  # and `path` holds it already, as the core sends the whole path
        answer: Awaitable[None] = self._app(scope, receive, send)
        return answer


def client(forwarded: bytes) -> tuple[str, int] | None:
    """The address that the core has added; the port is not known, and 0 then by convention."""
    address = forwarded[forwarded.rfind(b",") + 1 :].strip()
    if not address or address.startswith(b"unix:"):
        return None
    return address.decode("latin-1"), 0
