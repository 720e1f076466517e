"""Control messages: one JSON object per line, between watchdog, core and command line.

Feedback channel, agent -> watchdog:
    {"event": "ready"}                                  initialised, accepting
    {"event": "failed", "reason": "..."}                cannot start; exits next
    {"event": "drained"}                                nothing in flight, applications stopped; exits 0 next
    {"event": "reloaded", "id": n, "report": {...}}     a reload was applied
    {"event": "reload_failed", "id": n, "reason": "..."}
    {"event": "keep", "key": "...", "value": {...}}     tell the next core, should this one die; null = no more
Feedback channel, watchdog -> agent:
    {"command": "drain", "timeout": seconds}            stop accepting, finish, stop applications, exit 0
    {"command": "close_tunnels"}                        the instance drains: WebSockets that are open end soon (1001)
    {"command": "reopen_logs"}                          with a descriptor: stdout and stderr from now on
    {"command": "reload", "id": n, "config": {...}}     resolved configuration (`passenger.config.resolved`)
EOF on the feedback channel is death of the other end: the agent stops what it runs and exits.

API sockets (`core_api`, `watchdog_api`, and for readers those that end in `_ro`): one request object per line, one
answer object per line.
    request  {"verb": "status" | "stop" | ..., ...}
    answer   {"ok": true, ...} or {"ok": false, "error": "...", "hint": "..."}

Rules: a line is at most MAX_LINE bytes; anything that is not one JSON object per line is a ProtocolError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from passenger.errors import ProtocolError

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes; a reload carries the configuration of a thousand applications."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One message as bytes."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Decoder:
    """Bytes in, messages out."""

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Every message completed by `data`. Raises ProtocolError for a line that is no JSON object or too long."""
        self._buffer += data
        messages = []
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if line.strip():
                messages.append(_object(line))
        if len(self._buffer) > self._max_line:
            raise ProtocolError(f"control line longer than {self._max_line} bytes")
        return messages


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("control line is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError("control line is not a JSON object")
    return value
