"""One source line as a terminal shows it: tabs as spaces, control characters visible, long lines cut around the mark.

Widths are terminal cells: most characters take one, East Asian wide ones two, combining ones none.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from passenger.lazy_dataclass import dataclass
from passenger.log import printable

TAB_WIDTH: Final = 4
_CUT: Final = "\N{HORIZONTAL ELLIPSIS}"
_WIDTH_MIN: Final = 20


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """Text for the terminal, and the mark below it in cells from the start of the text."""

    text: str
    mark_start: int
    mark_width: int


def marked_line(line: str, start: int, end: int, width: int) -> MarkedLine:
    """A line with the characters from column `start` to before `end` (from 1) marked, in at most `width` cells."""
    pieces = _pieces(line)
    edges = [0]
    for piece in pieces:
        edges.append(edges[-1] + cells(piece))
    first, last = min(start - 1, len(pieces)), min(end - 1, len(pieces))
    left, right = _window(edges, first, last, max(width, _WIDTH_MIN))
    head = _CUT if left else ""
    text = head + "".join(pieces[left:right]) + (_CUT if right < len(pieces) else "")
    mark_start = len(head) + edges[first] - edges[left]
    mark_width = edges[min(last, right)] - edges[first]
    return MarkedLine(text, mark_start, max(mark_width, 1))


def cells(text: str) -> int:
    """Terminal cells that a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _pieces(line: str) -> list[str]:
    """What stands for each character of the line."""
    pieces: list[str] = []
    column = 0
    for char in line:
        piece = " " * (TAB_WIDTH - column % TAB_WIDTH) if char == "\t" else _visible(char)
        pieces.append(piece)
        column += cells(piece)
    return pieces


def _visible(char: str) -> str:
    """The character, or its number when it would look like nothing or like a plain space."""
    if not char.isascii() and unicodedata.category(char) in {"Cf", "Zs"}:
        return f"\\u{ord(char):04x}"
    return printable(char)


def _window(edges: list[int], first: int, last: int, width: int) -> tuple[int, int]:
    """The characters to show, so that the mark begins inside and, if it can, ends inside."""
    size = len(edges) - 1
    if edges[size] <= width:
        return 0, size
    room = width - 2 * len(_CUT)
    spare = max(room - (edges[last] - edges[first]), room // 3)
    left = first
    while left > 0 and edges[first] - edges[left - 1] <= spare // 2:
        left -= 1
    right = left
    while right < size and edges[right + 1] - edges[left] <= room:
        right += 1
    while right == size and left > 0 and edges[size] - edges[left - 1] <= room:
        left -= 1
    return left, right
