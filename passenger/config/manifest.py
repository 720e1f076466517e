"""Manifests in YAML, read as values that know their place.

Rules.
1. Nothing of a document is built before it is asked for: aliases are followed, never expanded.
2. What is not there reads as nothing; what is there and makes no sense is a ManifestError with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from passenger.config.diagnostics import Diagnostic, Elsewhere, Span
from passenger.config.target import Fact

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")


class ManifestError(Exception):
    """A manifest that cannot be used. `code` is that of the diagnostic."""

    def __init__(self, code: str, message: str, *, span: Span | None = None, help_text: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.span = span
        self.help_text = help_text

    def diagnostic(self, lines: tuple[str, ...]) -> Diagnostic:
        """For a report. `lines` are the manifest's."""
        at = Elsewhere(self.span, "", lines) if self.span else None
        return Diagnostic(
            code=self.code,
            message=self.message,
            span=self.span,
            help=self.help_text,
            excerpt=at.excerpt if at else (),
        )


class Node:
    """A value of the document, or the absence of one."""

    __slots__ = ("_node", "file")

    def __init__(self, node: yaml.Node | None, file: str) -> None:
        self._node = node
        self.file = file

    def __bool__(self) -> bool:
        return self._node is not None and not self._is_null()

    def get(self, *keys: str) -> Node:
        """What a path of keys leads to."""
        here = self
        for key in keys:
            here = next((value for name, value in here.items() if name == key), Node(None, self.file))
        return here

    def items(self) -> Iterator[tuple[str, Node]]:
        """Of a mapping."""
        if isinstance(self._node, _kinds().MappingNode):
            for key, value in self._node.value:
                yield str(key.value), Node(value, self.file)

    def each(self) -> Iterator[Node]:
        """Of a sequence."""
        if isinstance(self._node, _kinds().SequenceNode):
            for item in self._node.value:
                yield Node(item, self.file)

    @property
    def text(self) -> str:
        """A scalar as it is written; "" for anything else."""
        return str(self._node.value) if self and isinstance(self._node, _kinds().ScalarNode) else ""

    @property
    def is_true(self) -> bool:
        return self.text.lower() in {"true", "yes", "on"}

    @property
    def words(self) -> tuple[str, ...]:
        """A list of scalars, or the words of one scalar (a command in the form of the shell)."""
        return tuple(item.text for item in self.each()) or tuple(self.text.split())

    @property
    def span(self) -> Span | None:
        """The value; of a table or list, its first line."""
        if self._node is None:
            return None
        start, end = self._node.start_mark, self._node.end_mark
        whole = start.line == end.line
        last = end.column + 1 if whole else start.column + 2
        return Span(self.file, start.line + 1, start.column + 1, start.line + 1, last)

    def fact(self, read: Callable[[str], T]) -> Fact[T] | None:
        """The scalar, understood by `read`; None when it is not there. Raises ManifestError (E503)."""
        if not self:
            return None
        try:
            return Fact(read(self.text), self.span)
        except ValueError as error:
            raise ManifestError("E503", f"`{self.text}` is not understood: {error}", span=self.span) from error

    def _is_null(self) -> bool:
        return self._node is not None and self._node.tag.endswith(":null")


def _kinds() -> ModuleType:
    """Imported only where there is a manifest."""
    import yaml

    return yaml


def documents(text: str, file: str) -> list[Node]:
    """Every document of a YAML (or JSON) text. Raises ManifestError (E501)."""
    import yaml

    try:
        found = [Node(node, file) for node in yaml.compose_all(text, Loader=yaml.SafeLoader)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Span(file, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2) if mark else None
        raise ManifestError("E501", f"the manifest is no YAML: {error.problem or error.context}", span=place) from error
    except yaml.YAMLError as error:
        raise ManifestError("E501", f"the manifest is no YAML: {error}") from error
    except RecursionError as error:
        raise ManifestError("E501", "the manifest is nested too deeply") from error
    return [node for node in found if node]


def chosen(candidates: list[tuple[str, T]], wanted: str | None, *, what: str, file: str) -> T:
    """The one that is meant: by name, or because there is no other. Raises ManifestError (E502)."""
    named = [item for name, item in candidates if wanted is None or name == wanted]
    if len(named) == 1:
        return named[0]
    names = ", ".join(f"`{name}`" for name, _ in candidates)
    if not candidates:
        raise ManifestError("E502", f"{file} describes no {what}")
    if not named:
        raise ManifestError("E502", f"{file} has no {what} `{wanted}`", help_text=f"there are {names}")
    raise ManifestError("E502", f"{file} describes more than one {what}", help_text=f"`--service`: {names}")
