"""A Client whose web server takes the first line of a response as CGI has it: Apache's mod_proxy_scgi.

Rule: nginx understands both forms, Apache only `Status: 200 OK`; everything else of a response is the same.
"""

from __future__ import annotations

from typing import Final

from passenger.request.client import Client

_VERSION: Final = len(b"HTTP/1.1 ")
_STATUS: Final = b"Status: "


class CgiClient(Client):
    """One request of an Apache."""

    __slots__ = ()

    def deliver(self, data: bytes) -> bool:
        if not self._begun:
            data = _STATUS + data[_VERSION:]
        return super().deliver(data)


def client_of(web_server: str) -> type[Client]:
    """The kind of Client that a web server needs."""
    return CgiClient if web_server == "apache" else Client
