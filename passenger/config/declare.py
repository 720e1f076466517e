"""How a key of the configuration is declared: `name: type = key("what it is for", default=..., unit=...)`.

Rule: everything that is known about a key stands in its declaration; the generators and the checks read it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field
from types import MappingProxyType
from typing import Any, Final, Literal

from passenger.lazy_dataclass import dataclass

Unit = Literal["", "duration", "size", "amount", "path"]
"""`amount`: a text such as a size, in a form of its own (`pattern`); a bare number lacks its unit here, too."""
Reload = Literal["live", "restart"]

NO_TABLE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the generators know about one key beside its name and type."""

    doc: str
    unit: Unit = ""
    reload: Reload = "restart"
    since: str = "0.1"
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    pattern_help: str = ""
    example: Any = None
    default_doc: str = ""
    secret: bool = False
    """Never shown, wherever it comes from."""


def key(
    doc: str,
    *,
    default: Any = MISSING,
    table: type | None = None,
    unit: Unit = "",
    reload: Reload = "restart",
    since: str = "0.1",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str = "",
    pattern_help: str = "",
    example: Any = None,
    default_doc: str = "",
    secret: bool = False,
) -> Any:
    """Declare one key. `table` makes a nested table whose own defaults apply; no default makes the key required."""
    metadata = {
        "key": Key(
            doc=doc,
            unit=unit,
            reload=reload,
            since=since,
            choices=choices,
            minimum=minimum,
            maximum=maximum,
            pattern=pattern,
            pattern_help=pattern_help,
            example=example,
            default_doc=default_doc,
            secret=secret,
        )
    }
    if table is not None:
        return field(default_factory=table, metadata=metadata)
    if default is MISSING:
        return field(metadata=metadata)
    if isinstance(default, Mapping):  # Python 3.11 takes an unhashable default for a mutable one
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


def key_of(declared: Field[Any]) -> Key:
    """The `Key` of a field of a model class."""
    found: Key = declared.metadata["key"]
    return found
