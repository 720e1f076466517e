"""Somebody at a desk: a request for a page of ours whose answer depends on what was asked, or has no end."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from passenger.request.door import value_of

if TYPE_CHECKING:
    from passenger.request.webconnection import WebConnection
    from passenger.wire.scgi_head import Head


class Visit:
    """What was asked, and by which connection the answer goes. Bodies are not read."""

    __slots__ = ("_pairs", "_uri", "connection", "has_body", "method")

    def __init__(self, connection: WebConnection, head: Head) -> None:
        self.connection = connection
        self.method = head.method.decode("latin-1")
        self.has_body = head.length > 0
        self._uri = head.uri
        self._pairs = head.block

    def header(self, name: bytes) -> str:
        """A header by its CGI name, such as HTTP_AUTHORIZATION; "" = not sent."""
        return value_of(self._pairs, name).decode("latin-1")

    def query(self) -> dict[str, str]:
        """The parameters behind the question mark; of several with one name the last. Raises ValueError for a flood."""
        return dict(parse_qsl(urlsplit(self._uri.decode("latin-1")).query, max_num_fields=16))

    def answer(self, data: bytes) -> None:
        """A whole response."""
        self.connection.answer(data)
