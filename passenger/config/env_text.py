"""The text of an env file (`.env`): `NAME=VALUE` lines to variables, without any I/O.

    # a comment
    export NAME=value          # so is this
    QUOTED='taken as it is'
    LINES="first\\nsecond"     # known: \\n \\r \\t \\" \\\\ \\$; any quotes may hold real line ends too

Rules.
1. Nothing is replaced: `$OTHER`, `${OTHER}` and backquotes are text.
2. Of a name that comes twice the last value counts, as in a shell.
3. A mistake is told by its line; what the line says is never repeated, since it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from passenger.lazy_dataclass import dataclass

_NAME: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_BLANK: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_PLAIN: Final = re.compile(r"[^\n]*")
_QUOTED: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {"'": re.compile(r"'([^']*)'"), '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)}
)
_COMMENT: Final = re.compile(r"[ \t]+#.*|[ \t]+\Z")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final[Mapping[str, str]] = MappingProxyType(
    {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "\n": ""}
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable and the line on which it begins, counted from 1."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A line that cannot be understood."""

    line: int
    reason: str


def parse(text: str) -> tuple[list[Variable], list[Mistake]]:
    """Every variable in the order of the file, and every mistake."""
    reader = _Reader(text.replace("\r\n", "\n"))
    while not reader.is_done:
        reader.step()
    return reader.variables, reader.mistakes


class _Reader:
    def __init__(self, text: str) -> None:
        self.variables: list[Variable] = []
        self.mistakes: list[Mistake] = []
        self._text = text
        self._at = 0
        self._line = 1

    @property
    def is_done(self) -> bool:
        return self._at >= len(self._text)

    def step(self) -> None:
        """Read one assignment, comment or wrong line."""
        if blank := _BLANK.match(self._text, self._at):
            self._go_to(blank.end())
        elif assignment := _NAME.match(self._text, self._at):
            self._value(assignment[1], assignment.end())
        else:
            self._wrong("no NAME=VALUE")

    def _value(self, name: str, at: int) -> None:
        quote = self._text[at : at + 1]
        if quote not in _QUOTED:
            plain = _PLAIN.match(self._text, at)
            assert plain is not None
            self._take(name, "" if plain[0].startswith("#") else _COMMENT.sub("", plain[0]), plain.end())
            return
        quoted = _QUOTED[quote].match(self._text, at)
        if quoted is None:
            self._wrong(f"a quote {quote} without its end", to_the_end=True)
        elif not _BLANK.match(self._text, quoted.end()):
            self._wrong("text behind the closing quote", after=quoted.end())
        else:
            value = quoted[1] if quote == "'" else _ESCAPE.sub(_escaped, quoted[1])
            self._take(name, value, quoted.end())

    def _take(self, name: str, value: str, end: int) -> None:
        if "\0" in value:
            self._wrong("a NUL character", after=end)
            return
        self.variables.append(Variable(name, value, self._line))
        self._go_to(self._end_of_line(end))

    def _wrong(self, reason: str, *, after: int | None = None, to_the_end: bool = False) -> None:
        self.mistakes.append(Mistake(self._line, reason))
        self._go_to(len(self._text) if to_the_end else self._end_of_line(self._at if after is None else after))

    def _end_of_line(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end + 1

    def _go_to(self, at: int) -> None:
        self._line += self._text.count("\n", self._at, at)
        self._at = at


def _escaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
