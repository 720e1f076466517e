"""Diagnostics for people: one block each, with the line, a caret under the mistake, and one suggestion.

    error[E204]: unknown key `spwan_method` in app "web"
      --> passenger.toml:14:1
       |
    13 | app_root = "/srv/web"
    14 | spwan_method = "smart"
       | ^^^^^^^^^^^^ did you mean `spawn_method`?
       = docs: configuration reference, apps.spawn_method

Rules.
1. Nothing of a configuration reaches the terminal unescaped.
2. The first 20 are shown, the rest is counted; the last line counts everything.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from passenger.config.diagnostics import Diagnostic, Span
from passenger.config.document import Document
from passenger.config.report_line import cells, marked_line
from passenger.config.report_order import counts, in_file_order
from passenger.lazy_dataclass import dataclass
from passenger.log import printable

SHOWN_MAX: Final = 20
_WIDTH_MIN: Final = 40
_RED, _YELLOW, _BLUE, _CYAN, _BOLD = "1;31", "1;33", "1;34", "1;36", "1"


def render(diagnostics: Sequence[Diagnostic], document: Document | None, *, color: bool, width: int) -> str:
    """The report, ending in a line feed. `width`: columns of the terminal."""
    ordered = in_file_order(diagnostics, document)
    paint = _Paint(color)
    lines: list[str] = []
    for found in ordered[:SHOWN_MAX]:
        lines += [""] if lines else []
        lines += _Block(found, document, paint, max(width, _WIDTH_MIN)).lines()
    if len(ordered) > SHOWN_MAX:
        lines.append(f"\n... and {len(ordered) - SHOWN_MAX} more")
    errors, warnings = counts(diagnostics)
    lines.append(f"{_number(errors, 'error')}, {_number(warnings, 'warning')}")
    text = "\n".join(lines) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


@dataclass(frozen=True, slots=True)
class _Paint:
    on: bool

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.on and text else text


@dataclass(frozen=True, slots=True)
class _Block:
    """One diagnostic on its way to text."""

    found: Diagnostic
    document: Document | None
    paint: _Paint
    width: int

    def lines(self) -> Iterator[str]:
        found = self.found
        style = _RED if found.severity == "error" else _YELLOW
        title = self.paint(style, f"{found.severity}[{found.code}]")
        yield title + self.paint(_BOLD, f": {printable(found.message)}")
        if found.span:
            yield from self._snippet("-->", found.span, found.label, "^", style)
        for span, label in found.related:
            yield from self._snippet(":::", span, label, "-", _BLUE)
        if found.help:
            yield from self._note("help", found.help)
        if found.docs:
            yield from self._note("docs", f"configuration reference, {found.docs}")

    @property
    def _margin(self) -> int:
        """Columns of the widest line number."""
        spans = [span for span in (self.found.span, *(span for span, _ in self.found.related)) if span]
        return max((len(str(span.line)) for span in spans), default=2)

    def _gutter(self, number: int | None = None) -> str:
        shown = "" if number is None else str(number)
        return self.paint(_BLUE, f"{shown:>{self._margin}} |")

    def _snippet(self, arrow: str, span: Span, label: str, mark: str, style: str) -> Iterator[str]:
        place = f"{printable(span.file)}:{span.line}:{span.column}"
        yield f"{' ' * self._margin}{self.paint(_BLUE, arrow)} {place}"
        line = self._line(span.file, span.line)
        if line is None:
            if label:
                yield from self._note("note", label)
            return
        yield self._gutter()
        room = self.width - self._margin - 3
        before = self._line(span.file, span.line - 1)
        if before and before.strip():
            yield f"{self._gutter(span.line - 1)} {marked_line(before, 1, 1, room).text}"
        end = span.end_column if span.end_line == span.line else len(line) + 1
        shown = marked_line(line, span.column, end, room)
        yield f"{self._gutter(span.line)} {shown.text}".rstrip()
        yield from self._marks(" " * shown.mark_start, mark * shown.mark_width, printable(label), style, room)

    def _marks(self, indent: str, marks: str, label: str, style: str, room: int) -> Iterator[str]:
        """The carets with their label, which moves to a line of its own where it is too long."""
        fits = len(indent) + len(marks) + 1 + cells(label) <= room
        yield f"{self._gutter()} {indent}{self.paint(style, f'{marks} {label}' if label and fits else marks)}"
        if label and not fits:
            for line in textwrap.wrap(label, room):
                yield f"{self._gutter()} {self.paint(style, line)}"

    def _note(self, word: str, text: str) -> Iterator[str]:
        indent = " " * (self._margin + 1)
        start = f"{indent}= {word}: "
        lines = textwrap.wrap(
            printable(text), max(self.width - len(start), 20), break_long_words=False, break_on_hyphens=False
        )
        for number, line in enumerate(lines):
            yield (
                f"{indent}{self.paint(_BLUE, '=')} {self.paint(_BOLD, word)}: {line}"
                if number == 0
                else (" " * len(start) + line)
            )

    def _line(self, file: str, number: int) -> str | None:
        """A source line, if anybody still has it."""
        if self.document is not None and file in self.document.files:
            lines = self.document.source(file)
            return lines[number - 1] if 0 < number <= len(lines) else None
        return dict(self.found.excerpt).get(number)
