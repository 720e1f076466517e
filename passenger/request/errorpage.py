"""The HTML of the core's own error responses. Everything that is not markup of this module is escaped here."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Final

from passenger.spawn.spawner import SpawnError

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:52rem;padding:0 1rem;color:#222}"
    "h1{font-size:1.5rem}pre{background:#f4f4f4;padding:1rem;overflow:auto;white-space:pre-wrap}"
    "table{border-collapse:collapse}td{padding:.2rem 1rem .2rem 0}.failed{color:#b00020;font-weight:600}"
    ".hint{border-left:4px solid #06c;padding-left:1rem}"
)


def phrase(status: int) -> str:
    """The words that belong to a status; those of its class for one that nobody has registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Server Error" if status >= 500 else "Client Error"


def document(status: int, text: str, details: str) -> bytes:
    """A page. `text` is escaped; `details` is markup made by this module."""
    title = f"{status} {phrase(status)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n<p>{escape(text)}</p>\n{details}</body></html>\n"
    ).encode("utf-8", "replace")


def spawn_failure(error: SpawnError, app: str) -> str:
    """Everything that is known about a failed start, for developers."""
    parts = [f"<p>Application <b>{escape(app)}</b>: {escape(error.summary)}</p>"]
    if error.hint:
        parts.append(f'<p class="hint">{escape(error.hint)}</p>')
    if error.steps:
        parts.append("<h2>Steps</h2><table>" + "".join(_step(*step) for step in error.steps) + "</table>")
    if error.output:
        parts.append(f"<h2>Output of the application</h2><pre>{escape(error.output)}</pre>")
    parts.append(f"<p>Error ID: <code>{escape(error.error_id)}</code> ({escape(error.category)})</p>\n")
    return "\n".join(parts)


def _step(name: str, state: str, seconds: float) -> str:
    css = ' class="failed"' if state == "failed" else ""
    took = "" if state == "not started" else f"{seconds:.3f} s"
    return f"<tr{css}><td>{escape(name)}</td><td>{escape(state)}</td><td>{took}</td></tr>"
