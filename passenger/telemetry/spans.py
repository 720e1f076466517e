"""A request as a tree of spans, and the ids of those that nobody else knows. Pure.

    server span        from nginx's hands to the end of the response
      web server       nginx -> core, when nginx told when it began
      queue            the wait for a process
      application      a process works on it; its id is what the application was told as its parent

Rule: ids follow from the id of the application's span, so a record that is delivered twice is the same span twice.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from passenger.lazy_dataclass import dataclass
from passenger.telemetry.records import EventRecord, RequestRecord

_NANO: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Times in nanoseconds since 1970; ids in hexadecimal, parent "" = none."""

    name: str
    kind: str
    """`server`, `client` or `internal`."""
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: dict[str, Any]
    error: str = ""


def spans_of(record: RequestRecord) -> list[Span]:
    """The server's span first."""
    root = derived(record.span_id, "server")
    arrived, begun = record.arrived, record.arrived - (record.web_wait or 0.0)
    ended = arrived + record.total
    found = [_span(record, record.method, "server", root, record.parent_id, begun, ended, _about(record))]
    if record.web_wait is not None:
        found.append(_part(record, "web server", root, begun, arrived))
    granted = arrived + (record.queue_wait or 0.0)
    if record.queue_wait is not None:
        found.append(_part(record, "queue", root, arrived, granted))
    if record.app_time is not None:
        end = max(granted, min(ended, granted + record.app_time))
        about = {"passenger.app": record.app, "process.pid": record.pid}
        found.append(_span(record, "application", "client", record.span_id, root, granted, end, about))
    return found


def spans_of_spawn(event: EventRecord) -> list[Span]:
    """The journey of a process: one span, with one for each step."""
    steps = event.facts.get("steps") or ()
    seed = f"{event.app} {event.time} {event.facts.get('pid') or event.facts.get('error_id')}"
    trace = blake2b(seed.encode(), digest_size=16, person=b"passenger-spawn").hexdigest()
    root = derived(trace, "spawn")
    begun = event.time - float(event.facts.get("seconds") or 0.0)
    about = {"passenger.app": event.app, **_plain(event.facts, but="steps")}
    error = str(event.facts.get("reason") or "") if event.kind == "spawn_failed" else ""

    def part(name: str, own: str, parent: str, start: float, end: float, about: dict[str, Any], why: str) -> Span:
        return Span(
            name=name,
            kind="internal",
            trace_id=trace,
            span_id=own,
            parent_id=parent,
            start=int(start * _NANO),
            end=int(end * _NANO),
            attributes=about,
            error=why,
        )

    found = [part("spawn", root, "", begun, event.time, about, error)]
    at = begun
    for number, (name, state, seconds) in enumerate(steps):
        if state != "not started":
            failed = error if state == "failed" else ""
            found.append(part(name, derived(root, str(number)), root, at, at + seconds, {}, failed))
            at += seconds
    return found


def derived(span_id: str, part: str) -> str:
    """An id for a part of something that has one."""
    return blake2b(f"{span_id} {part}".encode(), digest_size=8, person=b"passenger-span").hexdigest()


def _about(record: RequestRecord) -> dict[str, Any]:
    about = {
        "http.request.method": record.method,
        "url.path": record.path,
        "http.response.status_code": record.status,
        "http.request.body.size": record.received,
        "http.response.size": record.sent,
        "passenger.app": record.app,
        "passenger.request_id": record.id,
        "passenger.ending": record.ending,
        "passenger.refusal": record.refusal,
        "process.pid": record.pid or None,
    }
    return {name: value for name, value in about.items() if value not in ("", None)}


def _plain(facts: Any, *, but: str) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != but and isinstance(value, str | int | float | bool)}


def _part(record: RequestRecord, name: str, parent: str, start: float, end: float) -> Span:
    return _span(record, name, "internal", derived(record.span_id, name), parent, start, end, {})


def _span(
    record: RequestRecord, name: str, kind: str, own: str, parent: str, start: float, end: float, about: dict[str, Any]
) -> Span:
    error = ""
    if kind == "server" and (record.status >= 500 or record.ending == "cut"):
        error = record.refusal or (f"status {record.status}" if record.ending != "cut" else "cut")
    return Span(
        name=name,
        kind=kind,
        trace_id=record.trace_id,
        span_id=own,
        parent_id=parent,
        start=int(start * _NANO),
        end=int(end * _NANO),
        attributes=about,
        error=error,
    )
