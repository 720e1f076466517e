"""What the model expects at a place of the document: told to those who read values before they are checked.

A `Place` is worked out from the dataclasses of `passenger.config.model`, so that a new key needs no change here.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from passenger.config.declare import key_of
from passenger.config.model import App, Config, EnvValue

Kind = Literal["table", "names", "array", "text", "united", "other"]
"""`names`: a table with names of the user's choice. `united`: a string with a unit, such as "30s"."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place: its kind and what is expected below it."""

    kind: Kind
    keys: Mapping[str, Place] = field(default_factory=dict)
    each: Place | None = None
    is_text_or_table: bool = False
    """An array's element that may be a string or a table, such as a listener."""

    @property
    def takes_text(self) -> bool:
        """Whether a string is a proper value here."""
        return self.kind in {"text", "united"} or self.is_text_or_table

    def below(self, step: str | int) -> Place | None:
        """What is expected at a key or index; None where the model knows nothing."""
        return self.keys.get(str(step), self.each)


def document_places() -> Place:
    """The place of the whole document, with `[defaults]` taking every key of an app."""
    whole = _table(Config)
    return Place("table", {**whole.keys, "defaults": _table(App)})


def _table(kind: type[Any]) -> Place:
    hints = typing.get_type_hints(kind)
    return Place("table", {f.name: _place(hints[f.name], key_of(f).unit) for f in fields(kind)})


def _place(hint: Any, unit: str) -> Place:
    origin = typing.get_origin(hint)
    if origin in {types.UnionType, typing.Union}:
        (hint,) = [part for part in typing.get_args(hint) if part is not type(None)]
        return _place(hint, unit)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        element = _place(inner, "")
        if element.kind == "table":
            element = Place("table", element.keys, is_text_or_table=True)
        return Place("array", each=element)
    if origin is not None:
        return Place("names", each=_place(typing.get_args(hint)[1], ""))
    if hint is EnvValue or hint is str:
        return Place("text")
    if is_dataclass(hint) and isinstance(hint, type):
        return _table(hint)
    return Place("united" if unit in {"duration", "size"} else "other")
