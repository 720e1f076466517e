"""From the configuration to the sinks of a router."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from passenger.config.model import EnvValue
from passenger.config.telemetry import Telemetry, headers_of
from passenger.errors import HostError
from passenger.telemetry.json_targets import HttpJson, JsonLines
from passenger.telemetry.post import Poster
from passenger.telemetry.sink import Sink, Target
from passenger.telemetry.spool import Spool

Trouble = Callable[[str, str], None]


def sinks_of(section: Telemetry, *, instance: str, version: str, on_trouble: Trouble) -> list[Sink]:
    """Every sink that is configured, at work. Raises HostError."""
    targets: dict[str, Target] = {}
    if section.otlp.endpoint:
        from passenger.telemetry.otlp import Otlp, Signals

        part = section.otlp
        poster = _poster(part.endpoint or "", part.headers, part.timeout, version)
        signals = Signals(part.traces, part.metrics, part.logs)
        targets["otlp"] = Otlp(poster, signals, instance=instance, version=version)
    if section.http.url:
        http = section.http
        targets["http"] = HttpJson(_poster(http.url or "", http.headers, http.timeout, version), instance)
    if section.json_lines.file:
        lines = section.json_lines
        targets["json_lines"] = JsonLines(lines.file or "", most=lines.max_size, keep=lines.keep, instance=instance)
    return [
        Sink(
            name,
            target,
            interval=section.flush_interval,
            random=random.random,
            spool=_spool(section, instance, name) if name != "json_lines" else None,
            on_trouble=on_trouble,
        )
        for name, target in targets.items()
    ]


def _poster(url: str, headers: Mapping[str, EnvValue], timeout: float, version: str) -> Poster:
    return Poster(url, {"User-Agent": f"passenger-ustrouter/{version}", **headers_of(headers)}, timeout)


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
