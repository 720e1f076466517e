"""tomllib's refusal -> one diagnostic per broken line, with the exact place.

Rules.
1. tomllib stops at its first error. A broken line that is complete in itself (no open bracket, no triple quote) is
   blanked and the rest is read again, so that further mistakes are seen; where that could mislead, the search ends.
2. What stands twice is named with both places; those come from the span index, because tomllib tells only the second.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from typing import Final

from passenger.config.diagnostics import Diagnostic, Span
from passenger.config.syntax_advice import Advice, advise

ERRORS_MAX: Final = 20

_PLACE: Final = re.compile(
    r"^(?P<message>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL
)
_TWICE: Final = ("Cannot overwrite", "Cannot declare", "Cannot mutate", "Cannot redefine", "Duplicate inline")


def explain(name: str, text: str, error: ValueError) -> list[Diagnostic]:
    """The diagnostics for a text that tomllib refused with `error`."""
    problems: list[Diagnostic] = []
    lines = text.split("\n")
    found: ValueError | None = error
    blanked_a_header = False
    while found is not None and len(problems) < ERRORS_MAX:
        message, line, column = _locate(found, lines)
        if message.startswith(_TWICE):
            if not blanked_a_header:
                unplaced = replace(_diagnostic(name, message, advise(message, lines, line, column)), code="E108")
                problems += _twice(name, "\n".join(lines).encode()) or [unplaced]
            break
        advice = advise(message, lines, line, column)
        problems.append(_diagnostic(name, message, advice))
        broken = lines[advice.line - 1]
        if not broken or not _is_complete(broken, advice):
            break
        blanked_a_header = blanked_a_header or broken.lstrip().startswith("[")
        lines[advice.line - 1] = ""
        found = _refusal("\n".join(lines))
    return problems


def _refusal(text: str) -> ValueError | None:
    try:
        tomllib.loads(text)
    except ValueError as error:
        return error
    except RecursionError:
        return None
    return None


def _locate(error: ValueError, lines: list[str]) -> tuple[str, int, int]:
    """Message, line and column of a refusal; the end of the document is the end of its last line with text."""
    match = _PLACE.match(str(error))
    if match is None:  # int() refuses thousands of digits without a place
        digits = re.compile(r"\d{4000}")
        line = next((number for number, text in enumerate(lines, 1) if digits.search(text)), 1)
        return "the number is too long", line, 1
    if match["line"]:
        return match["message"], int(match["line"]), int(match["column"])
    last = max((number for number, text in enumerate(lines, 1) if text.strip()), default=1)
    return match["message"], last, len(lines[last - 1].rstrip()) + 1


def _diagnostic(name: str, message: str, advice: Advice) -> Diagnostic:
    related: tuple[tuple[Span, str], ...] = ()
    if advice.opened_at is not None:
        opened_line, opened_column = advice.opened_at
        opened = Span(name, opened_line, opened_column, opened_line, opened_column + 1)
        related = ((opened, advice.opened_label),)
    return Diagnostic(
        code="E107",
        message=f"not valid TOML: {advice.message or message[:1].lower() + message[1:]}",
        span=_span(name, advice),
        label=advice.label,
        help=advice.help,
        related=related,
    )


def _span(name: str, advice: Advice) -> Span:
    return Span(name, advice.line, advice.start, advice.line, max(advice.end, advice.start + 1))


def _is_complete(line: str, advice: Advice) -> bool:
    """Whether blanking the line leaves the lines around it as they were meant."""
    if advice.ends_search or '"""' in line or "'''" in line:
        return False
    return line.count("[") <= line.count("]") + line.lstrip().startswith("[") and line.count("{") <= line.count("}")


def _twice(name: str, content: bytes) -> list[Diagnostic]:
    from passenger.config.spans import SpanIndex

    return [
        Diagnostic(
            code="E108",
            message=f"{_shown(repeated.path)} stands twice in this file",
            span=repeated.second,
            path=repeated.path,
            label="here again",
            help="keep one of them" if not repeated.extends else "write the further keys inside the braces or brackets",
            related=((repeated.first, "first set here"),),
        )
        for repeated in SpanIndex(name, content).repeated
    ]


def _shown(path: tuple[str | int, ...]) -> str:
    return "`" + ".".join(str(step) for step in path) + "`"
