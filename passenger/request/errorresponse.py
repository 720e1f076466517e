"""Responses that the core gives itself: 400, 500, 502, 503, 504 and probes.

Rules.
1. In production a body says what happened in general words, and the error id where there is one; nothing about the
   application, its host, its output or its environment (fault matrix F21).
2. Everything that comes from outside is escaped, and no script can run: Content-Security-Policy (F23). The
   application's own page (`custom_error_page`) is sent as it is, and its own business.
3. A page names the request as the access log and the application's own log do (`X-Request-Id`), where its id is plain.
4. Every response carries its exact Content-Length, and `Cache-Control: no-store`.
"""

from __future__ import annotations

import re
from html import escape
from http import HTTPStatus
from typing import Final

from passenger.pool.session import Refusal, RefusalReason
from passenger.request.errorpage import document, phrase, spawn_failure
from passenger.request.gate import Maintenance
from passenger.request.routes import Route

_HEAVY_LOAD: Final = "This site is under heavy load. Please try again in a moment."
_PAUSED: Final = "This site takes a short break. Please try again in a moment."
_MAINTAINED: Final = "This site is being worked on. Please try again later."
_REFUSALS: Final = {
    RefusalReason.QUEUE_FULL: (503, _HEAVY_LOAD),
    RefusalReason.SPAWN_FAILED: (500, "The application could not be started."),
    RefusalReason.BACKING_OFF: (503, "The application is not available at the moment. Please try again shortly."),
    RefusalReason.STOPPING: (503, "The server is being restarted. Please try again in a moment."),
    RefusalReason.UNKNOWN_APP: (503, "This application is not available."),
}
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_PLAIN_ID: Final = re.compile("[A-Za-z0-9._-]{1,128}")
_GENERAL: Final = {
    400: "The request could not be understood.",
    502: "The application did not give a valid response.",
    503: "The application is not available at the moment. Please try again shortly.",
    504: "The application did not respond in time.",
}


def response(
    status: int,
    body: bytes,
    *,
    content_type: str = "text/html; charset=utf-8",
    retry_after: int = 0,
    policy: str = _POLICY,
) -> bytes:
    """A whole response. `policy`: what the page may load and run; "" = what it likes, as it is somebody else's."""
    lines = [
        f"HTTP/1.1 {status} {phrase(status)}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-cache, no-store, must-revalidate",
        "X-Content-Type-Options: nosniff",
    ]
    if policy:
        lines.append(f"Content-Security-Policy: {policy}")
    if retry_after:
        lines.append(f"Retry-After: {retry_after}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def plain(status: int, text: str) -> bytes:
    """Answer of a probe."""
    return response(status, text.encode() + b"\n", content_type="text/plain; charset=utf-8")


def error(status: int, *, route: Route | None = None, reason: str = "", request_id: str = "") -> bytes:
    """400, 502, 503 or 504. `reason` is shown only where the application's errors are explained."""
    details = f"<p>{escape(reason)}</p>" if reason and route is not None and route.explains_errors else ""
    retry_after = 1 if status == HTTPStatus.SERVICE_UNAVAILABLE else 0
    return _shown(status, _GENERAL[status], details, route, retry_after, request_id)


def waited_too_long(route: Route, *, is_held: bool = False, request_id: str = "") -> bytes:
    """For a request whose turn did not come within `max_request_queue_time`, or that a pause has held for too long."""
    text, retry_after = (_PAUSED, 5) if is_held else (_HEAVY_LOAD, 1)
    return _shown(route.queue_time_status, text, "", route, retry_after, request_id)


def queue_full(route: Route, request_id: str = "") -> bytes:
    """For a request that comes when a pause holds as many as it may."""
    return _shown(route.queue_full_status, _PAUSED, "", route, 5, request_id)


def maintained(maintenance: Maintenance) -> bytes:
    """For a request during maintenance; a page of the operator's may load and run what it likes."""
    page, retry_after = maintenance.page, maintenance.retry_after
    if page:
        return response(503, page.encode("utf-8", "replace"), retry_after=retry_after, policy="")
    return response(503, document(503, _MAINTAINED, ""), retry_after=retry_after)


def refused(refusal: Refusal, route: Route, request_id: str = "") -> bytes:
    """What a request gets for which the pool has no session."""
    status, text = _REFUSALS[refusal.reason]
    failure = refusal.error
    if failure is None:
        retry_after = refusal.retry_after or (1 if status == HTTPStatus.SERVICE_UNAVAILABLE else 0)
        if refusal.reason is RefusalReason.QUEUE_FULL:
            status = route.queue_full_status
        return _shown(status, text, "", route, retry_after, request_id)
    status, text = route.spawn_failed_status, _REFUSALS[RefusalReason.SPAWN_FAILED][1]
    details = spawn_failure(failure, route.name) if route.explains_errors else _error_id(failure.error_id)
    return _shown(status, text, details, route, refusal.retry_after, request_id)


def _shown(status: int, text: str, details: str, route: Route | None, retry_after: int, request_id: str) -> bytes:
    """A page of ours; or the application's own, if it has one and nothing is to be explained."""
    if route is not None and route.page is not None and not route.explains_errors and status >= 500:
        return response(status, route.page, retry_after=retry_after, policy="")
    if _PLAIN_ID.fullmatch(request_id):
        details += f"<p>Request ID: <code>{request_id}</code></p>\n"
    return response(status, document(status, text, details), retry_after=retry_after)


def _error_id(error_id: str) -> str:
    return f"<p>Error ID: <code>{escape(error_id)}</code>. The administrator finds the details in the log.</p>"
