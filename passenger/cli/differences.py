"""Differences between what runs and what a file says: from the comparison to JSON, and from JSON to lines.

Rules.
1. A secret is `<secret>` on both sides: that it changed is all that is said.
2. Values look as they would in the file (durations and sizes with their units), so that they can be copied.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from passenger.cli.effective import SECRET, origin_of, shown_value
from passenger.config.changes import Change
from passenger.config.diagnostics import Path
from passenger.config.keys import spec_at
from passenger.config.model import EnvValue
from passenger.log import printable

if TYPE_CHECKING:
    from passenger.cli.resolution import Resolution
    from passenger.config.document import Document

ORDER = (
    "applies live",
    "nginx reloads",
    "listeners change",
    "app starts",
    "app rolls",
    "app ends",
    "instance restart needed",
)


def as_json(changes: Iterable[Change], resolution: Resolution) -> list[dict[str, Any]]:
    """One object per change."""
    return [
        {
            "key": dotted(change.path),
            "old": _shown(change.path, change.old, resolution.document),
            "new": _shown(change.path, change.new, resolution.document),
            "origin": _origin(change, resolution.document),
            "effects": list(change.effects),
        }
        for change in changes
    ]


def dotted(path: Path) -> str:
    """A path as a key of TOML."""
    from passenger.cli.resolution import quoted

    return ".".join(quoted(str(part)) for part in path)


def lines(changes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Two lines per change, then what all of them come to."""
    effects: dict[str, list[str]] = {}
    for change in changes:
        yield printable(f"  {change['key']}: {_inline(change['old'])} -> {_inline(change['new'])}")
        yield printable(f"      {', '.join(change['effects'])}  ({change['origin']})")
        for effect in change["effects"]:
            effects.setdefault(effect, []).append(change["key"])
    for effect in ORDER:
        if keys := effects.get(effect):
            yield printable(f"{effect}: {', '.join(dict.fromkeys(map(_concerned(effect), keys)))}")


def _concerned(effect: str) -> Any:
    """For an application its name, else the key."""
    return (lambda key: key.split(".")[1]) if effect.startswith("app ") else (lambda key: key)


def _inline(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _origin(change: Change, document: Document) -> str:
    return "not in the configuration" if change.new is None else str(origin_of(change.path, document))


def _shown(path: Path, value: Any, document: Document) -> Any:
    if value is None:
        return None
    if isinstance(value, EnvValue):
        return SECRET if value.secret else value.value
    if document.is_secret(path) or document.is_secret(("defaults", *path[2:])):
        return SECRET
    spec = spec_at(path)
    return value.app_root if spec is None else shown_value(spec, value)
