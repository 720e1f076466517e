"""Several files -> one tree of values: tables merge; anything else set in two files is an error that names both places.

Rules.
1. Files are merged in reading order; where two disagree the first keeps its value, so that checking can go on.
2. Arrays, arrays of tables included, are values: they do not merge.
3. The files' own trees are never changed: the result is made of fresh tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from passenger.config.diagnostics import Diagnostic, Path
from passenger.config.source import Source
from passenger.lazy_dataclass import dataclass

EVERY_FILE = ("config_version",)
"""Keys that several files may carry when they agree: each file may say which format it is written in."""


@dataclass(frozen=True, slots=True)
class _Clash:
    path: Path
    first: Any
    second: Any


def merge(sources: Sequence[Source]) -> tuple[dict[str, Any], list[Diagnostic]]:
    """The merged values of all files, and a diagnostic for each value that two files set."""
    merged: dict[str, Any] = {}
    problems: list[Diagnostic] = []
    for number, source in enumerate(sources):
        clashes: list[_Clash] = []
        _add(merged, source.data, (), clashes)
        problems += [_twice(clash, sources[:number], source) for clash in clashes]
    return merged, problems


def _add(into: dict[str, Any], table: dict[str, Any], path: Path, clashes: list[_Clash]) -> None:
    for name, value in table.items():
        if name not in into:
            into[name] = _fresh(value)
        elif isinstance(value, dict) and isinstance(into[name], dict):
            _add(into[name], value, (*path, name), clashes)
        elif path or name not in EVERY_FILE or value != into[name]:
            clashes.append(_Clash((*path, name), into[name], value))


def _fresh(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _fresh(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_fresh(item) for item in value]
    return value


def _twice(clash: _Clash, before: Sequence[Source], second: Source) -> Diagnostic:
    first = next(source for source in before if source.depth_of(clash.path) == len(clash.path))
    shown = ".".join(str(step) for step in clash.path)
    first_span = first.index.key_span(clash.path)
    is_mixed = isinstance(clash.first, dict) != isinstance(clash.second, dict)
    message = (
        f"`{shown}` is a table in one file and a value in another" if is_mixed else f"`{shown}` is set in two files"
    )
    return Diagnostic(
        code="E111" if is_mixed else "E110",
        message=message,
        span=second.index.key_span(clash.path),
        path=clash.path,
        label="set here again",
        help=f"only tables merge: keep one of them, in {first.name} or in {second.name}",
        related=((first_span, "first set here"),) if first_span else (),
    )
