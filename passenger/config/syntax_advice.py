"""What a reader most likely meant by a line that is not TOML, and where the caret belongs.

tomllib points at the character where it gave up; the advice points at the word that has to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A place on one line (columns from 1, end exclusive) and what to say about it; "" keeps tomllib's message."""

    line: int
    start: int
    end: int
    label: str = ""
    help: str = ""
    message: str = ""
    opened_at: tuple[int, int] | None = None
    opened_label: str = ""
    ends_search: bool = False
    """What follows was swallowed by something that is not closed: further mistakes cannot be told."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """A line that was refused, from the column where tomllib gave up."""

    message: str
    lines: list[str]
    line: int
    column: int

    @property
    def text(self) -> str:
        return self.lines[self.line - 1].rstrip()

    @property
    def rest(self) -> str:
        return self.text[self.column - 1 :]

    def advice(self, start: int, end: int, label: str, hint: str = "", message: str = "") -> Advice:
        return Advice(line=self.line, start=start, end=end, label=label, help=hint, message=message)


_KEY_VALUE: Final = re.compile(r"""^\s*(?P<key>(?:[\w.\-\s]|"[^"]*"|'[^']*')+?)\s*=\s*(?P<value>.*?)\s*$""")
_COMMENT: Final = re.compile(r"\s+#.*$")
_ITEM: Final = re.compile(r"[^,\]}#]*[^,\]}#\s]|.")
_BARE_WORD: Final = re.compile(r"[^\s=.\[\]#\"']+")
_WORD_BEFORE: Final = re.compile(r"""[^\s,\[\]{}="']+$""")
_WORD_AFTER: Final = re.compile(r"""[^\s,\[\]{}="'#]+""")
_WITH_UNIT: Final = re.compile(r"^[+-]?\d[\d_.]*\s*(?:%|[A-Za-z]+)$")
_SECOND_KEY: Final = re.compile(r"^\s*[\w.\-]+\s*=(?!=)")
_WORDS: Final = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_NOTHING: Final = ("null", "none", "nil", "~")
_CURLY_QUOTES: Final = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"


_UNSEEN: Final = re.compile(r"[\u00a0\u00ad\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]")
_NO_LINES: Final = (
    ("<<<<<<<", "left over from a merge", "settle the conflict, then remove the lines `<<<<<<<`, `=======`, `>>>>>>>`"),
    ("=======", "left over from a merge", "settle the conflict, then remove the line"),
    (">>>>>>>", "left over from a merge", "settle the conflict, then remove the line"),
    ("//", "no comment", "a comment starts with `#`"),
    ("{", "not a key", "this looks like JSON: TOML writes `key = value` and `[table]`"),
)
"""Beginnings of lines of other kinds of text."""


def advise(message: str, lines: list[str], line: int, column: int) -> Advice:
    """Advice for a refusal of tomllib at a line and column (both from 1)."""
    refused = _Refused(message, lines, line, column)
    if (lonely := refused.text.find("\r")) >= 0:
        hint = "save the file with the line ends of Unix (LF) or Windows (CRLF)"
        return refused.advice(lonely + 1, lonely + 2, "a line end that is half of one", hint)
    for start, advisor in _ADVISORS:
        if message.startswith(start):
            return advisor(refused)
    return refused.advice(column, column + 1, "")


def _on_value(refused: _Refused) -> Advice:
    """A value that is none: most often a string without quotes."""
    before = refused.text[: refused.column - 1].rstrip()
    is_in_array = before.endswith((",", "[")) if not refused.rest else not before and _SECOND_KEY.match(refused.rest)
    if is_in_array:
        return replace(_on_open_bracket(refused), message="unclosed array")
    match = _KEY_VALUE.match(_COMMENT.sub("", refused.text))
    key, value, start = "", "", refused.column
    if match and not match["value"].startswith(("[", "{")):
        key, value, start = f"{match['key']} = ", match["value"], match.start("value") + 1
    elif item := _ITEM.match(refused.rest):
        value = item[0].strip()
    if not value:
        label = "a value belongs here"
        return refused.advice(refused.column, refused.column + 1, label, "to leave a key at its default, remove it")
    return _on_word(refused, key, value, start)


def _on_word(refused: _Refused, key: str, value: str, start: int) -> Advice:
    end = start + len(value)
    word = value.lower()
    if value[0] in _CURLY_QUOTES:
        text = value.strip(_CURLY_QUOTES)
        return refused.advice(start, end, "typographic quotes", f'use straight quotes: {key}"{text}"')
    if word in _WORDS:
        return refused.advice(start, end, "not a boolean", f"write {key}{_WORDS[word]}")
    if word in _NOTHING:
        return refused.advice(start, end, "TOML has no such value", "to leave a key at its default, remove it")
    if _WITH_UNIT.match(value):
        return refused.advice(start, end, "a value with a unit is a string", f'write {key}"{value}"', "quotes missing")
    if _SECOND_KEY.match(refused.rest):
        return refused.advice(refused.column, end, "a second key on the line", "write one key per line")
    if value[0] in "\"'":
        rest = refused.rest[: end - refused.column]
        ends_line = rest.rstrip() in {",", ";"}
        hint = (
            f"remove `{rest.strip()}`: a value ends with its line"
            if ends_line
            else 'a quote inside "..." is written \\"'
        )
        return refused.advice(refused.column, end, "unexpected after the string", hint, "text after a value")
    if re.fullmatch(r"[+-]?0\d+", value):
        return refused.advice(start, end, "leading zero", f"write {key}{value.lstrip('+-0') or '0'}, or quote it")
    if re.fullmatch(r"[+-]?[\d_]+[,;]?", value):
        number = re.sub(r"_+", "_", value.rstrip(",;")).strip("_")
        return refused.advice(start, end, "not a number", f"write {key}{number}, or quote it")
    text = value.strip("\"'")
    return refused.advice(start, end, "a string needs quotes", f"write {key}{_quoted(text)}", "quotes missing")


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text or "\\" in text else f'"{text}"'


def _on_equals(refused: _Refused) -> Advice:
    start = refused.column
    if unseen := _UNSEEN.search(refused.text.partition("=")[0]):
        return _on_unseen(refused, unseen)
    if refused.rest.startswith(":"):
        return refused.advice(start, start + 1, "`=` expected", "TOML writes `key = value`, not `key: value`")
    if refused.rest and not refused.rest[0].isascii():
        word = next(found for found in _BARE_WORD.finditer(refused.text) if found.end() >= start)
        hint = f'write "{word[0]}" = ...: letters beyond a to z need quotes'
        return refused.advice(word.start() + 1, word.end() + 1, "no key without quotes", hint)
    hint = "a line is `key = value`, a `[table]` or a `# comment`; a key with a space in it needs quotes"
    return refused.advice(start, start + 1, "`=` expected", hint)


def _on_unseen(refused: _Refused, unseen: re.Match[str]) -> Advice:
    """A character that looks like a space or like nothing, pasted from a web page or a word processor."""
    label = f"U+{ord(unseen[0]):04X} stands here, which cannot be seen"
    return refused.advice(unseen.start() + 1, unseen.end() + 1, label, "remove it, or write an ordinary space")


def _on_open_string(refused: _Refused) -> Advice:
    """A string that its line does not close, or a control character in one."""
    opened = _open_quote(refused.text)
    if opened is None or refused.column <= len(refused.text):
        return refused.advice(
            refused.column, refused.column + 1, "not allowed here", "write it as an escape, such as \\n"
        )
    quote = refused.text[opened]
    hint = f"add {quote} at the end of the string; a string over several lines stands in triple quotes"
    return refused.advice(opened + 1, len(refused.text) + 1, "no closing quote", hint, "a string is not closed")


def _open_quote(text: str) -> int | None:
    """Index of the quote that is still open at the end of a line."""
    opened: int | None = None
    position = 0
    while position < len(text):
        char = text[position]
        if opened is None and char == "#":
            return None
        if opened is not None and text[opened] == '"' and char == "\\":
            position += 1
        elif opened is None and char in "\"'":
            opened = position
        elif opened is not None and char == text[opened]:
            opened = None
        position += 1
    return opened


def _on_open_literal(refused: _Refused) -> Advice:
    """A single quote without a second one in the rest of the file: the last one is the one that opens."""
    for number in range(refused.line, 0, -1):
        text = refused.lines[number - 1].rstrip()
        opened = _open_quote(text)
        if opened is not None and text[opened] == "'":
            return _on_open_string(_Refused(refused.message, refused.lines, number, len(text) + 1))
    return refused.advice(refused.column, refused.column + 1, "a quote is never closed")


def _on_open_triple(refused: _Refused) -> Advice:
    """Triple quotes that nothing closes: the last ones of the file are those that open."""
    triples = sum(text.count('"""') + text.count("'''") for text in refused.lines)
    if triples % 2 == 0:
        return _on_open_string(refused)
    for number in range(refused.line, 0, -1):
        text = refused.lines[number - 1]
        start = max(text.rfind('"""'), text.rfind("'''"))
        if start >= 0:
            message = "a string over several lines is not closed"
            return Advice(
                line=number, start=start + 1, end=start + 4, label="never closed", message=message, ends_search=True
            )
    return _on_open_string(refused)


def _on_open_bracket(refused: _Refused) -> Advice:
    before = _WORD_BEFORE.search(refused.text, 0, refused.column - 1)
    after = _WORD_AFTER.match(refused.rest)
    if before and after:
        word = before[0] + after[0]
        start = before.start() + 1
        return refused.advice(start, start + len(word), "a string needs quotes", f'write "{word}"', "quotes missing")
    is_array = "inline table" not in refused.message
    bracket, closing = ("[", "]") if is_array else ("{", "}")
    opener = re.compile(r"=\s*" + re.escape(bracket))
    help_text = f"put `,` between the parts and `{closing}` after the last one"
    if not is_array:
        help_text += "; a table in braces stands on one line"
    for number in range(refused.line, 0, -1):
        match = opener.search(refused.lines[number - 1])
        if match:
            opened = (number, match.end())
            break
    else:
        opened = None
    return Advice(
        line=refused.line,
        start=refused.column,
        end=refused.column + 1,
        label=f"`,` or `{closing}` expected",
        help=help_text,
        opened_at=opened,
        opened_label="opened here",
        ends_search=True,
    )


def _on_escape(refused: _Refused) -> Advice:
    start = refused.text.rfind("\\", 0, refused.column) + 1 or refused.column
    if "scalar value" in refused.message:
        return refused.advice(start, refused.column + 1, "no character has this number")
    hint = "write \\\\ for a backslash, or put the text in single quotes, where a backslash is a backslash"
    return refused.advice(start, start + 2, "not an escape sequence", hint)


def _on_header(refused: _Refused) -> Advice:
    closing = "]]" if "']]'" in refused.message else "]"
    if not refused.rest:
        hint = f"the name of a table ends with `{closing}`"
        return refused.advice(refused.column, refused.column + 1, f"`{closing}` expected", hint)
    hint = "a part of a table name with other characters than letters, digits, `-` and `_` needs quotes"
    return refused.advice(refused.column, refused.column + 1, f"`{closing}` expected", hint)


def _on_long_number(refused: _Refused) -> Advice:
    start = re.search(r"\d{4000}", refused.text)
    column = start.start() + 1 if start else refused.column
    return refused.advice(column, len(refused.text) + 1, "thousands of digits")


def _on_twice(refused: _Refused) -> Advice:
    key = re.match(r"\s*([^=]*[^=\s])", refused.text)
    start, end = (key.start(1) + 1, key.end(1) + 1) if key else (refused.column, refused.column + 1)
    hint = "each table is written in one piece: keep its keys together under one header"
    return refused.advice(start, end, "this table is complete already", hint, "a table is defined in two places")


def _on_key(refused: _Refused) -> Advice:
    start, rest = refused.column, refused.rest
    if rest.startswith("}"):
        return refused.advice(start, start + 1, "no comma before this", "remove the comma before `}`")
    if not rest and "{" in refused.text:
        return refused.advice(start, start + 1, "the line ends here", "a table in braces stands on one line")
    for beginning, label, hint in _NO_LINES:
        if rest.startswith(beginning):
            return refused.advice(start, start + len(beginning), label, hint)
    hint = "keys have letters, digits, `-` and `_`; any other key needs quotes"
    if unseen := _UNSEEN.match(rest):
        return _on_unseen(refused, unseen)
    word = _BARE_WORD.match(rest)
    if word:
        return refused.advice(start, start + word.end(), "no key without quotes", hint)
    return refused.advice(start, start + 1, "a key belongs here", hint)


_ADVISORS: Final[tuple[tuple[str, Callable[[_Refused], Advice]], ...]] = (
    ("Cannot ", _on_twice),
    ("Invalid value", _on_value),
    ("Expected newline", _on_value),
    ("Invalid date", _on_value),
    ("the number is too long", _on_long_number),
    ("Expected '='", _on_equals),
    ("Unterminated string", _on_open_triple),
    ("Illegal character", _on_open_string),
    ("Found invalid character", _on_open_string),
    ("Expected \"'''", _on_open_triple),
    ('Expected "\'"', _on_open_literal),
    ("Unclosed", _on_open_bracket),
    ("Unescaped", _on_escape),
    ("Invalid hex", _on_escape),
    ("Escaped character", _on_escape),
    ("Expected ']", _on_header),
    ("Invalid initial", _on_key),
    ("Invalid statement", _on_key),
)
