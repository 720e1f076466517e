"""A Client whose web server is Apache's mod_proxy_scgi.

Rules.
1. nginx understands both forms of a first line, Apache only `Status: 200 OK`; the rest of a response is the same.
2. Of a response up to HOLD bytes whose length is known nothing is sent before it is whole. Apache keeps its connection
   alive, and after a cut it would go on with the next request on it (measured with 2.4.71). So a short response that is
   cut is answered 502, and what Apache has begun to send is never cut on a connection that goes on.
"""

from __future__ import annotations

import re
from socket import SocketType
from typing import TYPE_CHECKING, Final

from passenger.request.client import Client
from passenger.request.webconnection import State

if TYPE_CHECKING:
    from passenger.request.handler import RequestHandler

HOLD: Final = 65536
"""Bytes; `webserver.apache` has the connections of longer responses closed."""

_VERSION: Final = len(b"HTTP/1.1 ")
_STATUS: Final = b"Status: "
_LENGTH: Final = re.compile(rb"\r\n\r\n|\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


class CgiClient(Client):
    """One request of an Apache."""

    __slots__ = ("_early",)

    status_place = slice(8, 11)
    """`Status: 200 OK`"""

    def __init__(self, handler: RequestHandler, sock: SocketType) -> None:
        super().__init__(handler, sock)
        self._early = b""
        """What is held back of a response that is not whole yet (rule 2)."""

    def deliver(self, data: bytes) -> bool:
        if self._begun:
            return super().deliver(data)
        if self._early:
            self._early += data
            return True
        data = _STATUS + data[_VERSION:]
        if self._state is State.RUNNING and not self.bodiless and _is_short(data):
            self._early = data
            return True
        return super().deliver(data)

    def response_complete(self) -> None:
        early, self._early = self._early, b""
        if early:
            super().deliver(early)
        super().response_complete()

    def answer(self, data: bytes) -> None:
        self._early = b""  # what came before the fault is not sent
        super().answer(data)


def _is_short(data: bytes) -> bool:
    """Whether the head names a length of at most HOLD bytes."""
    found = _LENGTH.search(data)
    return found is not None and found[1] is not None and int(found[1]) <= HOLD


def client_of(web_server: str) -> type[Client]:
    """The kind of Client that a web server needs."""
    return CgiClient if web_server == "apache" else Client
