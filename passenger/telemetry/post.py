"""One POST to a collector, with a deadline for all of it, and what its answer means.

Rules.
1. 2xx is delivered; 408, 425, 429, 5xx and every failure on the way there are worth a retry; all else never will be.
2. Nothing of the answer is trusted: at most READ bytes of it are read, redirections are not followed.
3. Header values are secrets: they are in no message.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from passenger.lazy_dataclass import dataclass

READ: Final = 64 * 1024
_PASSING: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`problem` "" = delivered; else it says why not, and `retry` whether it may go well later."""

    problem: str = ""
    retry: bool = False
    after: float | None = None
    """Seconds that the other side asks to be left alone."""


class Poster:
    """Posts to one URL; a connection per delivery: batches are few, and a dead connection is nobody's surprise."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        self._parts = urlsplit(url)
        self._headers = dict(headers)
        self._timeout = timeout

    def post(self, path: str, content_type: str, body: bytes, seconds: float | None = None) -> Outcome:
        """`path` is put behind that of the URL."""
        timeout = self._timeout if seconds is None else max(0.05, min(seconds, self._timeout))
        deadline = time.monotonic() + timeout
        connection = self._connection(timeout)
        try:
            target = (self._parts.path.rstrip("/") + path) or "/"
            target += f"?{self._parts.query}" if self._parts.query else ""
            connection.request("POST", target, body, {**self._headers, "Content-Type": content_type})
            if connection.sock is not None:
                connection.sock.settimeout(max(0.05, deadline - time.monotonic()))
            answer = connection.getresponse()
            answer.read(READ)
            return _judged(answer.status, answer.getheader("Retry-After"), time.time())
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            return Outcome(_reason(error, timeout), retry=True)
        except ValueError:  # rule 3: what http.client says of it quotes the value
            return Outcome("a header cannot be sent")
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=timeout)


def _judged(status: int, retry_after: str | None, now: float) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    if status in _PASSING or status >= 500:
        return Outcome(f"status {status}", retry=True, after=seconds_of(retry_after, now))
    return Outcome(f"status {status}")


def seconds_of(retry_after: str | None, now: float) -> float | None:
    """A Retry-After in seconds: a number or a date; None when it is neither."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except ValueError:
        return None


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, http.client.HTTPException):
        return f"it does not speak HTTP ({type(error).__name__})"
    return getattr(error, "strerror", None) or type(error).__name__
