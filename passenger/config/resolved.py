"""A resolved configuration as JSON, and back: how it travels from the one process that reads files to the others.

Rules.
1. `encode(..., secrets=False)` replaces every secret by null: that form may be written to disk and shown.
2. `decode(encode(x))` equals `x`; a property test holds it to that.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, TypeVar, cast

from passenger.config.declare import Key
from passenger.config.model import EnvValue

T = TypeVar("T")


def encode(value: Any, *, secrets: bool) -> Any:
    """Frozen model value -> plain JSON value."""
    if isinstance(value, EnvValue):
        shown = None if value.secret and not secrets else value.value
        return {"value": shown, "secret": value.secret, "origin": value.origin}
    if is_dataclass(value):
        return {
            f.name: None if is_hidden(f) and not secrets else encode(getattr(value, f.name), secrets=secrets)
            for f in fields(value)
        }
    if isinstance(value, Mapping):
        return {name: encode(item, secrets=secrets) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item, secrets=secrets) for item in value]
    return value


def is_hidden(declared: Field[Any]) -> bool:
    """Whether a field is a key whose value is never shown."""
    key: Key | None = declared.metadata.get("key")
    return key is not None and key.secret


def decode(kind: type[T], data: Any) -> T:
    """Plain JSON value -> frozen model value of the given type. Raises KeyError or TypeError on foreign data."""
    return cast("T", _decode(kind, data))


def _decode(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is types.UnionType or origin is typing.Union:
        if data is None:
            return None
        inner = [a for a in typing.get_args(kind) if a is not type(None)]
        return _decode(inner[0], data) if len(inner) == 1 else data  # several kinds: plain ones
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        return tuple(_decode(inner, item) for item in data)
    if origin is not None and issubclass(origin, Mapping):
        inner = typing.get_args(kind)[1]
        return MappingProxyType({name: _decode(inner, item) for name, item in data.items()})
    if kind is EnvValue:
        value = "" if data["value"] is None else data["value"]
        return EnvValue(value=value, secret=data["secret"], origin=data["origin"])
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: _decode(hints[f.name], data[f.name]) for f in fields(kind)})
    if kind is float:
        return float(data)
    return data
