"""Limits of time of one application's requests of which one can never be reached."""

from __future__ import annotations

from passenger.config.build import Built
from passenger.config.cross import app_key
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.model import App
from passenger.config.units import duration_text


def check(document: Document, built: Built, findings: Findings) -> None:
    """Report limits that another one makes useless. 0 = there is no such limit."""
    for name, app in built.config.apps.items():
        if built.is_whole("apps", name) and app.response_timeout:
            _app(document, name, app, findings)


def _app(document: Document, name: str, app: App, findings: Findings) -> None:
    response = app.response_timeout
    other = app_key(document, name, "response_timeout")
    for key, limit, meaning in (
        ("max_request_time", app.max_request_time, "who has not begun to answer by then is answered 504 before"),
        ("max_request_queue_time", app.max_request_queue_time, "who waits that long has been answered 504 before"),
    ):
        path = app_key(document, name, key)
        if path is not None and limit > response:
            findings.add(
                "W330",
                path,
                f"`{key}` ({duration_text(limit)}) is longer than `response_timeout` ({duration_text(response)})",
                label=meaning,
                help="" if other else f"`response_timeout` is {duration_text(response)} where it is not set",
                also=((other, "value", "`response_timeout` is set here"),) if other else (),
            )
