"""Where every key and value of one TOML file stands.

tomllib judges syntax and values but tells no places; this index comes from the syntax tree of tree-sitter-toml.

Rules.
1. The index never judges: pieces it does not understand are left out, and a question about them is answered with the
   nearest ancestor that is known.
2. Columns count characters from 1, lines are separated by line feeds.
3. `keys` are the spans of single keys: in `[apps.blog]` the table `blog` is introduced by `blog`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import field
from typing import Any

import tree_sitter_toml
from tree_sitter import Language, Node, Parser, Point

from passenger.config.diagnostics import Path, Span
from passenger.lazy_dataclass import dataclass

_KEYS = frozenset({"bare_key", "quoted_key", "dotted_key"})
_NO_VALUES = frozenset({"comment", "ERROR"})
_FILE_START = (1, 1, 1, 1)


@dataclass(slots=True)
class Entry:
    """What is known of one key or array element."""

    key: Span | None = None
    value: Span | None = None
    header: Span | None = None
    children: dict[str | int, Entry] = field(default_factory=dict)
    is_array_of_tables: bool = False
    is_leaf: bool = False


@dataclass(frozen=True, slots=True)
class Repeated:
    """A key or table that stands twice in the file, which TOML forbids."""

    path: Path
    first: Span
    second: Span
    extends: bool = False
    """The second place adds to an inline table or array, which are complete as written."""


class SpanIndex:
    """The places of one file."""

    def __init__(self, file: str, content: bytes) -> None:
        self.root = Entry(header=Span(file, *_FILE_START))
        self.repeated: list[Repeated] = []
        self._columns = _Columns(file, content)
        tree = Parser(Language(tree_sitter_toml.language())).parse(content)
        self._read_document(tree.root_node)

    def key_span(self, path: Path) -> Span | None:
        """The key that introduces a path; for an array element the element; else of the nearest known ancestor."""
        for entry in self._nearest(path):
            if span := entry.key or entry.value or entry.header:
                return span
        return None

    def value_span(self, path: Path) -> Span | None:
        """The value as written; a table with a header answers with the header."""
        for entry in self._nearest(path):
            if span := entry.value or entry.header or entry.key:
                return span
        return None

    def table_span(self, path: Path) -> Span | None:
        """The header of a table, else the key that introduces it."""
        for entry in self._nearest(path):
            if span := entry.header or entry.key or entry.value:
                return span
        return None

    def _nearest(self, path: Path) -> Iterator[Entry]:
        """The entries on the way to a path, the deepest first."""
        found = [self.root]
        for step in path:
            child = found[-1].children.get(step)
            if child is None:
                break
            found.append(child)
        return reversed(found)

    def _read_document(self, document: Node) -> None:
        for node in document.children:
            if node.type == "pair":
                self._read_pair(node, self.root, ())
            elif node.type in {"table", "table_array_element"}:
                self._read_table(node)

    def _read_table(self, node: Node) -> None:
        keys = next((child for child in node.children if child.type in _KEYS), None)
        if keys is None:
            return
        parts = self._key_parts(keys)
        header = self._columns.between(node.children[0].start_point, _header_end(node))
        parent = self._open(self.root, parts[:-1], ())
        path = tuple(name for name, _ in parts)
        declare = self._declare_element if node.type == "table_array_element" else self._declare
        entry = declare(parent, path, parts[-1][1], header)
        for child in node.children:
            if child.type == "pair":
                self._read_pair(child, entry, path)

    def _declare(self, parent: Entry, path: Path, name_span: Span, header: Span) -> Entry:
        entry = parent.children.setdefault(path[-1], Entry())
        before = entry.header or (entry.key if entry.is_leaf else None)
        if before is not None:
            self.repeated.append(Repeated(path, before, header))
        else:
            entry.key, entry.header = name_span, header
        return entry

    def _declare_element(self, parent: Entry, path: Path, name_span: Span, header: Span) -> Entry:
        fresh = Entry(key=name_span, header=header, is_array_of_tables=True)
        array = parent.children.setdefault(path[-1], fresh)
        if not array.is_array_of_tables:
            first = array.header or array.key or header
            self.repeated.append(Repeated(path, first, header, extends=array.is_leaf))
            return Entry()
        return array.children.setdefault(len(array.children), Entry(key=name_span, header=header))

    def _read_pair(self, node: Node, table: Entry, path: Path) -> None:
        keys = next((child for child in node.children if child.type in _KEYS), None)
        value = next(
            (child for child in node.children if child.is_named and child.type not in _KEYS | _NO_VALUES), None
        )
        if keys is None or value is None:
            return
        parts = self._key_parts(keys)
        name, span = parts[-1]
        parent = self._open(table, parts[:-1], path)
        full = (*path, *(part for part, _ in parts))
        if before := parent.children.get(name):
            self.repeated.append(Repeated(full, before.header or before.key or span, span))
            return
        entry = parent.children.setdefault(name, Entry(key=span, is_leaf=True))
        self._read_value(value, entry, full)

    def _read_value(self, node: Node, entry: Entry, path: Path) -> None:
        entry.value = self._columns.between(node.start_point, node.end_point)
        if node.type == "inline_table":
            for pair in node.children:
                if pair.type == "pair":
                    self._read_pair(pair, entry, path)
        elif node.type == "array":
            items = [child for child in node.children if child.is_named and child.type not in _NO_VALUES]
            for number, item in enumerate(items):
                self._read_value(item, entry.children.setdefault(number, Entry(is_leaf=True)), (*path, number))

    def _open(self, table: Entry, parts: list[tuple[str, Span]], path: Path) -> Entry:
        """The table that dotted keys lead to; in an array of tables the latest element."""
        for name, span in parts:
            table = table.children.setdefault(name, Entry(key=span))
            path = (*path, name)
            if table.is_leaf and table.key is not None:
                self.repeated.append(Repeated(path, table.key, span, extends=True))
            if table.is_array_of_tables:
                table = table.children[len(table.children) - 1]
        return table

    def _key_parts(self, keys: Node) -> list[tuple[str, Span]]:
        """The single keys of a (possibly dotted) key, in order of writing."""
        parts: list[tuple[str, Span]] = []
        while keys.type == "dotted_key":
            left, *_, right = [child for child in keys.children if child.is_named]
            parts.append((_key_text(right), self._columns.between(right.start_point, right.end_point)))
            keys = left
        parts.append((_key_text(keys), self._columns.between(keys.start_point, keys.end_point)))
        return parts[::-1]


class _Columns:
    """Byte positions of a syntax tree -> lines and columns for people."""

    def __init__(self, file: str, content: bytes) -> None:
        self._file = file
        self._lines = None if content.isascii() else content.split(b"\n")

    def between(self, start: Point, end: Point) -> Span:
        return Span(self._file, start[0] + 1, self._column(start), end[0] + 1, self._column(end))

    def _column(self, point: Point) -> int:
        row, column = point
        if self._lines is None:
            return column + 1
        return len(self._lines[row][:column].decode("utf-8", "replace")) + 1


def _header_end(table: Node) -> Point:
    return next((child.end_point for child in table.children if child.type in {"]", "]]"}), table.start_point)


def _key_text(node: Node) -> str:
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type == "bare_key":
        return text
    try:
        parsed: dict[str, Any] = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return text
    return next(iter(parsed))
