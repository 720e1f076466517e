"""Limits of one application that contradict each other."""

from __future__ import annotations

from typing import Final

from passenger.config import amounts
from passenger.config.build import Built
from passenger.config.cross import app_key
from passenger.config.document import Document
from passenger.config.findings import Findings
from passenger.config.model import App

LEAST_MEMORY: Final = 1024 * 1024
"""Bytes; no interpreter fits into less, and whoever writes 0 means something else."""

_MEMORY_KEYS: Final = (
    ("memory_limit",),
    ("hard_memory_limit",),
    ("cgroup", "memory_high"),
    ("cgroup", "memory_max"),
)


def check(document: Document, built: Built, findings: Findings) -> None:
    """Report limits that exclude each other or leave no room at all."""
    for name, app in built.config.apps.items():
        if built.is_whole("apps", name):
            _app(document, name, app, findings)


def _app(document: Document, name: str, app: App, findings: Findings) -> None:
    _in_order(document, name, ("memory_limit",), ("hard_memory_limit",), app, findings)
    _in_order(document, name, ("cgroup", "memory_high"), ("cgroup", "memory_max"), app, findings)
    for keys in _MEMORY_KEYS:
        text, path = _text(app, keys), app_key(document, name, *keys)
        if text and path and _is_nothing(text):
            findings.add(
                "E341", path, f"`{keys[-1]}` is too small: {text}", label="leave the key out to have no such limit"
            )
    path = app_key(document, name, "cgroup", "cpu_max")
    if path and app.cgroup.cpu_max and amounts.cpus(app.cgroup.cpu_max) < 0.01:
        findings.add("E341", path, f"`cpu_max` is too small: {app.cgroup.cpu_max}", label="1% is the least")


def _in_order(
    document: Document, name: str, soft: tuple[str, ...], hard: tuple[str, ...], app: App, findings: Findings
) -> None:
    low, high = _text(app, soft), _text(app, hard)
    place, other = app_key(document, name, *soft), app_key(document, name, *hard)
    if not (low and high and place and other) or amounts.is_share(low) != amounts.is_share(high):
        return
    of = 10**9  # of shares only the order counts
    if (amounts.memory(low, of) or 0) >= (amounts.memory(high, of) or 0):
        findings.add(
            "E340",
            place,
            f"`{soft[-1]}` ({low}) is not below `{hard[-1]}` ({high})",
            label="never reached before the other limit",
            also=((other, "value", "the other limit"),),
        )


def _text(app: App, keys: tuple[str, ...]) -> str | None:
    value: str | None = getattr(app.cgroup if keys[0] == "cgroup" else app, keys[-1])
    return value


def _is_nothing(text: str) -> bool:
    if amounts.is_share(text):
        return amounts.share(text) == 0
    return (amounts.memory(text, None) or 0) < LEAST_MEMORY
