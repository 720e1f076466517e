"""Lines of our log, understood well enough to choose among them: text and JSON. Pure.

Lines of somebody else (nginx's access log, a traceback's middle) have no level of ours: they are shown unless an
application, a level or a time is asked for.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any, Final

from passenger.config.units import parse_duration
from passenger.lazy_dataclass import dataclass
from passenger.log import LEVELS

_TEXT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (error|warn|info|debug) +[\w.]+: (.*)", re.DOTALL)
_OUTPUT: Final = re.compile(r"App (.+?)\[\d+\] (?:stdout|stderr): ")
_FIELD: Final = re.compile(r' app=("(?:[^"\\]|\\.)*"|\S+)')
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z?)?")


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says about itself; None = nothing."""

    time: str | None = None
    level: str | None = None
    app: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which lines are wanted: all that are, of these kinds, at least."""

    app: str | None = None
    level: str | None = None
    since: str = ""
    """The beginning of a time in UTC, as it stands in lines."""

    def wants(self, text: str) -> bool:
        if self.app is None and self.level is None and not self.since:
            return True
        line = understood(text)
        if self.app is not None and line.app != self.app:
            return False
        if self.level is not None and (line.level is None or LEVELS[line.level] > LEVELS[self.level]):
            return False
        return not self.since or (line.time is not None and line.time >= self.since)


def understood(text: str) -> Line:
    """Read one line."""
    if text.startswith("{"):
        return _json(text)
    found = _TEXT.fullmatch(text)
    if found is None:
        return Line()
    moment, level, message = found.groups()
    if output := _OUTPUT.match(message):
        return Line(moment, level, output[1])
    field = _FIELD.search(message)
    return Line(moment, level, None if field is None else _unquoted(field[1]))


def since_when(text: str, *, now: float) -> str:
    """`10m`, `2h`, or a time in UTC such as 2031-05-01T12:00 -> what stands in lines. Raises ValueError."""
    if _MOMENT.fullmatch(text):
        return text.removesuffix("Z")
    moment = now - parse_duration(text)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))


def _json(text: str) -> Line:
    try:
        record: Any = json.loads(text)
    except (ValueError, RecursionError):
        return Line()
    if not isinstance(record, dict):
        return Line()
    level = record.get("level")
    return Line(_utc(_text(record.get("time"))), level if level in LEVELS else None, _text(record.get("app")))


def _utc(moment: str | None) -> str | None:
    """As our own lines have it; nginx tells the time of its zone."""
    if moment is None or moment.endswith("Z"):
        return moment
    try:
        told = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return None if told.tzinfo is None else told.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") + moment[19:23] + "Z"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value
