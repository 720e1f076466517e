"""What validation says: one Diagnostic per mistake, with the exact place and one suggestion.

Codes: E1xx TOML syntax and files, E2xx shape (unknown key, wrong type, bad value), E3xx keys that contradict each
other, E4xx this host, E5xx the place
where it is to run; W.. likewise for warnings. A code never changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Path = tuple[str | int, ...]
"""Where a value lives in the document: table and key names, and indexes of arrays."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A piece of a source file. Lines and columns count from 1, columns in characters; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One mistake. `span` is None only for values without a file (flags, variables) and for missing files."""

    code: str
    message: str
    span: Span | None = None
    path: Path = ()
    label: str = ""
    """Text behind the caret, such as "did you mean `spawn_method`?"."""
    help: str = ""
    """One suggestion in a line of its own."""
    related: tuple[tuple[Span, str], ...] = ()
    """Other places that take part, each with a label ("first set here")."""
    docs: str = ""
    """Anchor in docs/configuration.md, such as `apps.spawn_method`."""
    severity: Severity = "error"
    excerpt: tuple[tuple[int, str], ...] = ()
    """Numbered lines around the spans, for a file that never became part of a document (E1xx, manifests)."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A place in a file that is no part of the configuration, with that file's lines."""

    span: Span
    label: str
    lines: tuple[str, ...]

    @property
    def excerpt(self) -> tuple[tuple[int, str], ...]:
        """The line and the one before."""
        first = max(self.span.line - 1, 1)
        return tuple(enumerate(self.lines[first - 1 : self.span.line], first))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from, for `config show --origin`."""

    kind: Literal["file", "flag", "variable", "default"]
    span: Span | None = None
    detail: str = ""
    """Flag or variable name; for `file` also the name of an interpolated variable or secret file."""

    def __str__(self) -> str:
        if self.span is not None:
            place = f"{self.span.file}:{self.span.line}:{self.span.column}"
            return f"{place} ({self.detail})" if self.detail else place
        return f"{self.kind} {self.detail}".strip()
