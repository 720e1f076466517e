"""A record as plain names and values: what the JSON sinks write, and the attributes that OTLP is given. Pure."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from passenger.telemetry.records import EventRecord, Record, RequestRecord

_SECONDS = frozenset({"web_wait", "queue_wait", "app_time", "total"})


def as_object(record: Record, instance: str) -> dict[str, Any]:
    """One JSON object; what did not happen is left out."""
    if isinstance(record, EventRecord):
        named = {"kind": record.kind, "time": record.time, "instance": instance, "app": record.app}
        return {**{name: value for name, value in named.items() if value}, **record.facts}
    found: dict[str, Any] = {"kind": "request", "time": record.arrived, "instance": instance}
    for field in fields(RequestRecord):
        value = getattr(record, field.name)
        if value not in ("", None) and field.name != "arrived":
            found[field.name] = round(value, 6) if field.name in _SECONDS else value
    return found
