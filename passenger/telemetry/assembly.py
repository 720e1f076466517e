"""From the configuration to the sinks of a router.

Rules.
1. An application with headers of its own for a sink has a sink of its own (`KIND:APP`), with its own queue, retry and
   spool; the sink that it would share is without it. So a record goes where its application says, once.
2. A spool belongs to one of those: what lies there is delivered with the headers of who wrote it, never with others',
   and holds none of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from passenger.config.model import EnvValue
from passenger.config.telemetry import HttpSink, Otlp, Routes, Telemetry, headers_of
from passenger.errors import HostError
from passenger.lazy_dataclass import dataclass
from passenger.telemetry.json_targets import HttpJson, JsonLines
from passenger.telemetry.post import Poster
from passenger.telemetry.records import Record
from passenger.telemetry.sink import Sink, Target
from passenger.telemetry.spool import Spool

Trouble = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class _Part:
    """One sink: whose records it takes, and where to."""

    name: str
    target: Target
    concerns: Callable[[Record], bool] | None = None


def sinks_of(routes: Routes, *, instance: str, version: str, on_trouble: Trouble) -> list[Sink]:
    """Every sink that is configured, at work. Raises HostError."""
    section = routes.sinks
    return [
        Sink(
            part.name,
            part.target,
            interval=section.flush_interval,
            random=random.random,
            spool=_spool(section, instance, part.name) if part.name != "json_lines" else None,
            concerns=part.concerns,
            on_trouble=on_trouble,
        )
        for part in _parts(routes, instance, version)
    ]


def _parts(routes: Routes, instance: str, version: str) -> Iterator[_Part]:
    section = routes.sinks
    if section.otlp.endpoint:
        own = {app: headers.otlp for app, headers in routes.own.items() if headers.otlp}
        yield from _shared_and_own("otlp", own, lambda headers: _otlp(section.otlp, headers, instance, version))
    if section.http.url:
        own = {app: headers.http for app, headers in routes.own.items() if headers.http}
        yield from _shared_and_own("http", own, lambda headers: _http(section.http, headers, instance, version))
    if section.json_lines.file:
        lines = section.json_lines
        file = JsonLines(lines.file or "", most=lines.max_size, keep=lines.keep, instance=instance)
        yield _Part("json_lines", file)


def _shared_and_own(
    kind: str, own: Mapping[str, Mapping[str, EnvValue]], make: Callable[[Mapping[str, EnvValue]], Target]
) -> Iterator[_Part]:
    """Rule 1. `make` is told what an application has of its own."""
    yield _Part(kind, make({}), (lambda record: record.app not in own) if own else None)
    for app, headers in own.items():
        yield _Part(f"{kind}:{app}", make(headers), partial(_is_of, app))


def _is_of(app: str, record: Record) -> bool:
    return record.app == app


def _otlp(section: Otlp, own: Mapping[str, EnvValue], instance: str, version: str) -> Target:
    from passenger.telemetry import otlp  # 20 MB, for those only who want it

    poster = _poster(section.endpoint or "", headers_of(section.headers, own), section.timeout, version)
    signals = otlp.Signals(section.traces, section.metrics, section.logs)
    return otlp.Otlp(poster, signals, instance=instance, version=version)


def _http(section: HttpSink, own: Mapping[str, EnvValue], instance: str, version: str) -> Target:
    poster = _poster(section.url or "", headers_of(section.headers, own), section.timeout, version)
    return HttpJson(poster, instance)


def _poster(url: str, headers: Mapping[str, str], timeout: float, version: str) -> Poster:
    return Poster(url, {"User-Agent": f"passenger-ustrouter/{version}", **headers}, timeout)


def _spool(section: Telemetry, instance: str, sink: str) -> Spool | None:
    if section.spool is None:
        return None
    folder = Path(section.spool)
    try:
        return Spool(str(folder / f"{instance}-{sink}"), section.spool_size)
    except OSError as error:
        raise HostError(
            f"the spool {folder} cannot be used by user {os.geteuid()}: {error.strerror}",
            hint="let it belong to the user that UstRouter runs as (`nginx.user`), or leave out `telemetry.spool`",
        ) from error
