"""Responses that the core gives itself: 400, 500, 502, 503, 504 and probes.

Rules.
1. In production a body says what happened in general words, and the error id where there is one; nothing about the
   application, its host, its output or its environment (fault matrix F21).
2. Everything that comes from outside is escaped, and no script can run: Content-Security-Policy (F23).
3. Every response carries its exact Content-Length, and `Cache-Control: no-store`.
"""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Final

from passenger.pool.session import Refusal, RefusalReason
from passenger.request.errorpage import document, spawn_failure
from passenger.request.routes import Route

_REFUSALS: Final = {
    RefusalReason.QUEUE_FULL: (503, "This site is under heavy load. Please try again in a moment."),
    RefusalReason.SPAWN_FAILED: (500, "The application could not be started."),
    RefusalReason.BACKING_OFF: (503, "The application is not available at the moment. Please try again shortly."),
    RefusalReason.STOPPING: (503, "The server is being restarted. Please try again in a moment."),
    RefusalReason.UNKNOWN_APP: (503, "This application is not available."),
}
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_GENERAL: Final = {
    400: "The request could not be understood.",
    502: "The application did not give a valid response.",
    503: "The application is not available at the moment. Please try again shortly.",
    504: "The application did not respond in time.",
}


def response(
    status: int, body: bytes, *, content_type: str = "text/html; charset=utf-8", retry_after: int = 0
) -> bytes:
    """A whole response."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-cache, no-store, must-revalidate",
        f"Content-Security-Policy: {_POLICY}",
        "X-Content-Type-Options: nosniff",
    ]
    if retry_after:
        lines.append(f"Retry-After: {retry_after}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def plain(status: int, text: str) -> bytes:
    """Answer of a probe."""
    return response(status, text.encode() + b"\n", content_type="text/plain; charset=utf-8")


def error(status: int, *, route: Route | None = None, reason: str = "") -> bytes:
    """400, 502, 503 or 504. `reason` is shown only where the application's errors are explained."""
    details = f"<p>{escape(reason)}</p>" if reason and route is not None and route.explains_errors else ""
    retry_after = 1 if status == HTTPStatus.SERVICE_UNAVAILABLE else 0
    return response(status, document(status, _GENERAL[status], details), retry_after=retry_after)


def refused(refusal: Refusal, route: Route) -> bytes:
    """What a request gets for which the pool has no session."""
    status, text = _REFUSALS[refusal.reason]
    failure = refusal.error
    if failure is None:
        retry_after = refusal.retry_after or (1 if status == HTTPStatus.SERVICE_UNAVAILABLE else 0)
        return response(status, document(status, text, ""), retry_after=retry_after)
    text = _REFUSALS[RefusalReason.SPAWN_FAILED][1]
    details = spawn_failure(failure, route.name) if route.explains_errors else _error_id(failure.error_id)
    return response(500, document(500, text, details), retry_after=refusal.retry_after)


def _error_id(error_id: str) -> str:
    return f"<p>Error ID: <code>{escape(error_id)}</code>. The administrator finds the details in the log.</p>"
