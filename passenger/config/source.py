"""One file of the configuration: its bytes, its parsed values, and (only when somebody asks) where each value stands.

Rules.
1. Nothing is indexed until a span is wanted: a valid configuration never imports tree-sitter.
2. `data` is what tomllib said and is never changed after reading.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from passenger.config.diagnostics import Path

if TYPE_CHECKING:
    from passenger.config.spans import SpanIndex

NESTING_MAX: Final = 32
"""Levels of tables and arrays; the model has six."""


class Source:
    """A configuration file that tomllib accepted."""

    def __init__(self, *, name: str, folder: str, content: bytes, data: dict[str, Any]) -> None:
        self.name = name
        self.folder = folder
        self.data = data
        self._content = content

    @cached_property
    def index(self) -> SpanIndex:
        """The places of all keys and values of the file."""
        from passenger.config.spans import SpanIndex

        return SpanIndex(self.name, self._content)

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the file without their ends."""
        return lines_of(self._content)

    def depth_of(self, path: Path) -> int:
        """How many leading steps of a path exist in this file."""
        here: Any = self.data
        for depth, step in enumerate(path):
            known = step in here if isinstance(here, dict) else _has_item(here, step)
            if not known:
                return depth
            here = here[step]
        return len(path)


def is_deeper_than(levels: int, data: object) -> bool:
    """Whether tables and arrays are nested deeper than so many levels; found without recursion."""
    inner: list[Any] = [data]
    for _ in range(levels + 1):
        values = (value for item in inner for value in (item.values() if isinstance(item, dict) else item))
        inner = [value for value in values if isinstance(value, (dict, list))]
        if not inner:
            return False
    return True


def lines_of(content: bytes) -> list[str]:
    """The lines of a file for display; broken bytes become replacement characters."""
    return [line.removesuffix("\r") for line in content.decode("utf-8", "replace").split("\n")]


def _has_item(value: object, step: str | int) -> bool:
    return isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)
