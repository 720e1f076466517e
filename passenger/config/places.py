"""What the model expects at a place of the document: told to those who read values before they are checked.

A `Place` is worked out from the table of keys (`passenger.config.keys`), so that a new key needs no change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from passenger.config.keys import KeySpec, keys_of
from passenger.config.model import App, Config
from passenger.lazy_dataclass import dataclass

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
    is_path: bool = False
    """A file or folder is named here."""

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


def _table(table: type) -> Place:
    return Place("table", {name: _place(spec) for name, spec in keys_of(table).items()})


def _place(spec: KeySpec) -> Place:
    match spec.kind:
        case "string" | "path":
            return Place("text", is_path=spec.kind == "path")
        case "duration" | "size":
            return Place("united")
        case "strings":
            return Place("array", each=Place("text"))
        case "env":
            return Place("names", each=Place("text"))
    if spec.table is None:
        return Place("other")
    below = _table(spec.table)
    if spec.kind == "listeners":
        return Place("array", each=Place("table", below.keys, is_text_or_table=True))
    return Place("names", each=below) if spec.kind == "tables" else below
