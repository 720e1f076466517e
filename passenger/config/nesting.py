"""Where a file is nested too deep: found in its text, because no parser would tell."""

from __future__ import annotations

import re
from typing import Final

from passenger.config.source import NESTING_MAX

_BRACKETS: Final = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*|[\[\]{}]""", re.DOTALL
)
"""Brackets, and what they do not count in: strings and comments."""


def deep_place(text: str) -> tuple[int, int]:
    """Line and column of the bracket that is too much, or of the key with the most parts."""
    depth = 0
    for token in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > NESTING_MAX:
            before = text[: token.start()]
            return before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    lines = text.split("\n")
    number, line = max(enumerate(lines, 1), key=lambda each: each[1].count("."))
    return number, len(line) - len(line.lstrip()) + 1
