"""The order of a report: what has no place first, then the files as they were read, each from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence

from passenger.config.diagnostics import Diagnostic
from passenger.config.document import Document


def in_file_order(diagnostics: Sequence[Diagnostic], document: Document | None) -> list[Diagnostic]:
    """Diagnostics in reading order; without a document the files come as they are first named."""
    named = [found.span.file for found in diagnostics if found.span]
    files = list(dict.fromkeys((*(document.files if document else ()), *named)))
    order = {file: number for number, file in enumerate(files)}

    def place(found: Diagnostic) -> tuple[int, int, int, str]:
        if found.span is None:
            return (-1, 0, 0, "")
        return (order[found.span.file], found.span.line, found.span.column, found.code)

    return sorted(diagnostics, key=place)


def counts(diagnostics: Sequence[Diagnostic]) -> tuple[int, int]:
    """Numbers of errors and of warnings."""
    errors = sum(found.severity == "error" for found in diagnostics)
    return errors, len(diagnostics) - errors
