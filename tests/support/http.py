"""A small HTTP client for tests: one request on a fresh connection, whole and strictly read."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def fetch(
    port: int,
    path: str = "/",
    *,
    method: str = "GET",
    host: str = "",
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    came_from: str = "",
) -> Answer:
    """One request to 127.0.0.1, `came_from` any other address of loopback. Raises http.client.IncompleteRead for a cut body, OSError when refused."""
    source = (came_from, 0) if came_from else None
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=source)
    try:
        sent = dict(headers or {})
        if host:
            sent["Host"] = host
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        content = response.read()
        cookies = tuple(value for name, value in response.getheaders() if name.lower() == "set-cookie")
        return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, content, cookies)
    finally:
        connection.close()
