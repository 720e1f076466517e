"""Headers of telemetry's sinks: what no request can carry, and what is for a sink that there is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from passenger.config.build import Built
from passenger.config.cross import app_key
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.env_value import EnvValue
from passenger.config.findings import Findings
from passenger.config.instance import Instance
from passenger.config.keys import anchor

_VALUE: Final = re.compile(r"[ -~\t]*")


def check(document: Document, built: Built, findings: Findings) -> None:
    """Never quotes a value: it may be a secret."""
    instances = built.config.instances
    for name, instance in instances.items():
        if built.is_whole("instances", name):
            here: Path = ("instances", name, "telemetry")
            _headers(instance.telemetry.otlp.headers, (*here, "otlp", "headers"), findings)
            _headers(instance.telemetry.http.headers, (*here, "http", "headers"), findings)
    told: set[Path] = set()
    for name, app in built.config.apps.items():
        if not built.is_whole("apps", name):
            continue
        for sink, headers in (("otlp", app.telemetry.otlp_headers), ("http", app.telemetry.http_headers)):
            path = app_key(document, name, "telemetry", f"{sink}_headers")
            if path is None or path in told:
                continue
            told.add(path)
            _headers(headers, path, findings)
            served = instances.get(app.instance or "")
            if path[0] == "apps" and headers and served is not None and not _has_sink(served, sink):
                _without_sink(path, sink, app.instance or "", findings)


def _has_sink(instance: Instance, sink: str) -> bool:
    return bool(instance.telemetry.otlp.endpoint if sink == "otlp" else instance.telemetry.http.url)


def _headers(headers: Mapping[str, EnvValue], path: Path, findings: Findings) -> None:
    for name, value in headers.items():
        if not _VALUE.fullmatch(value.value):
            findings.add(
                "E318",
                (*path, name),
                "the value of this header cannot be sent",
                label="holds an end of line, or something that is not ASCII",
                help="of a file only one end of line is left out, at its end",
                docs=anchor(path),
            )


def _without_sink(path: Path, sink: str, instance: str, findings: Findings) -> None:
    key = "otlp.endpoint" if sink == "otlp" else "http.url"
    findings.add(
        "W307",
        path,
        f"these headers are sent to nobody: the instance has no `telemetry.{key}`",
        at="key",
        label=f"add `{key}` to `[instances.{instance}.telemetry]`, or remove this",
    )
