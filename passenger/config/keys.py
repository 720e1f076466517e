"""The model as a table of keys: one `KeySpec` per key, in the order of the model.

Everything that walks the model (schema, shape, build, reference page, example) walks it through here.

Rules.
1. A key's kind follows from its type and its unit alone; nothing is declared twice.
2. An anchor is a path without the names that users choose: `apps.blog.user` and `defaults.user` are `apps.user`.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final, Literal

from passenger.config.declare import Key, key_of
from passenger.config.diagnostics import Path
from passenger.config.instance import Listener
from passenger.config.model import App, Config, EnvValue
from passenger.lazy_dataclass import dataclass

Kind = Literal[
    "string",
    "integer",
    "boolean",
    "count",
    "duration",
    "size",
    "path",
    "strings",
    "integers",
    "listeners",
    "env",
    "table",
    "tables",
]
"""`count`: an integer, or a word (the key's `pattern`)."""

TABLE_KINDS: Final = frozenset({"table", "tables", "env"})


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One key of one table."""

    name: str
    key: Key
    kind: Kind
    default: Any
    """MISSING when the key is required."""
    table: type | None = None
    """The model class behind the kinds `table`, `tables` and `listeners`."""

    @property
    def required(self) -> bool:
        return self.default is MISSING


@functools.cache
def keys_of(table: type) -> Mapping[str, KeySpec]:
    """The keys of a model class, by name."""
    hints = typing.get_type_hints(table)
    return {declared.name: _spec(declared, hints[declared.name]) for declared in fields(table)}


def _spec(declared: Any, hint: Any) -> KeySpec:
    declaration = key_of(declared)
    kind, table = _kind(_without_none(hint), declaration)
    default = declared.default
    if declared.default_factory is not MISSING:
        default = declared.default_factory()
    return KeySpec(name=declared.name, key=declaration, kind=kind, default=default, table=table)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) is types.UnionType:
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return parts[0] if len(parts) == 1 else tuple(parts)
    return hint


def _kind(hint: Any, declaration: Key) -> tuple[Kind, type | None]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        lists: dict[Any, tuple[Kind, type | None]] = {Listener: ("listeners", Listener), int: ("integers", None)}
        return lists.get(arguments[0], ("strings", None))
    if origin is not None and issubclass(origin, Mapping):
        return ("env", None) if arguments[1] is EnvValue else ("tables", arguments[1])
    if isinstance(hint, type) and is_dataclass(hint):
        return "table", hint
    if declaration.unit in {"duration", "size", "path"}:
        return typing.cast("Kind", declaration.unit), None
    scalars: dict[Any, Kind] = {str: "string", int: "integer", bool: "boolean", (int, str): "count"}
    return scalars[hint], None


def anchor(path: Path) -> str:
    """The place in docs/configuration.md that explains a path: `apps.spawn_method`."""
    names = [part for part in path if isinstance(part, str)]
    if names and names[0] in {"apps", "instances"}:
        names = [names[0], *names[2:]]
    elif names and names[0] == "defaults":
        names = ["apps", *names[1:]]
    if names[:2] == ["apps", "env"]:
        names = names[:2]
    return ".".join(names)


def table_at(path: Path) -> type | None:
    """The model class of the table at a path, or None when there is no such table."""
    if not path:
        return Config
    if path[0] == "defaults":
        return _below(App, path[1:])
    if path[0] in {"apps", "instances"} and len(path) >= 2:
        named = keys_of(Config)[path[0]].table
        return _below(named, path[2:]) if named else None
    return None


def _below(table: type, path: Path) -> type | None:
    current: type | None = table
    for part in path:
        if isinstance(part, int):
            continue
        spec = keys_of(current).get(part) if current else None
        current = spec.table if spec else None
    return current


def spec_at(path: Path) -> KeySpec | None:
    """The key at a path (indexes of arrays point at their key), or None for names and unknown keys."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    if not path:
        return None
    table = table_at(path[:-1])
    return keys_of(table).get(str(path[-1])) if table else None


def tables() -> dict[str, type]:
    """Every table a user can write, by its anchor, in the order of the model."""
    found: dict[str, type] = {"": Config}
    _collect("", Config, found)
    return found


def _collect(prefix: str, table: type, found: dict[str, type]) -> None:
    for name, spec in keys_of(table).items():
        if spec.table is not None:
            here = f"{prefix}.{name}".lstrip(".")
            found[here] = spec.table
            _collect(here, spec.table, found)
