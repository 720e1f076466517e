"""Collects the diagnostics of one document: from a path in the document to the exact place in a file.

Rules.
1. A value of a flag or variable has no place in a file: the message says who set it.
2. A value read from a secret file is never quoted.
3. The same mistake at the same path is said once.
"""

from __future__ import annotations

import json
from typing import Literal

from passenger.config.diagnostics import Diagnostic, Elsewhere, Path, Severity, Span
from passenger.config.document import Document
from passenger.config.keys import anchor
from passenger.log import printable

Part = Literal["key", "value", "table", "nowhere"]
Place = tuple[Path, Part, str]
"""Another place that takes part: path, which part of it, label."""

LONGEST_QUOTE = 60


class Findings:
    """What is wrong with one document so far."""

    def __init__(self, document: Document, *, secrets_were_read: bool = True) -> None:
        self.document = document
        self._secrets_were_read = secrets_were_read
        self.found: list[Diagnostic] = []
        self._said: set[tuple[str, Path]] = set()

    def add(
        self,
        code: str,
        path: Path,
        message: str,
        *,
        at: Part = "value",
        label: str = "",
        help: str = "",  # noqa: A002 - the word of the diagnostic
        also: tuple[Place, ...] = (),
        elsewhere: Elsewhere | None = None,
        docs: str | None = None,
    ) -> None:
        """Note one mistake; the code's first letter tells errors from warnings."""
        if (code, path) in self._said:
            return
        self._said.add((code, path))
        span = self.span(path, at)
        if span is None:  # without a caret there is nothing that the label could stand behind
            label, help = "", "; ".join(text for text in (label, help) if text)  # noqa: A001
        self.found.append(
            Diagnostic(
                code=code,
                message=message + ("" if span else self._setter(path)),
                span=span,
                path=path,
                label=label,
                help=help,
                related=(
                    *((place, text) for where, part, text in also if (place := self.span(where, part))),
                    *(((elsewhere.span, elsewhere.label),) if elsewhere else ()),
                ),
                docs=anchor(path) if docs is None else docs,
                severity=_severity(code),
                excerpt=elsewhere.excerpt if elsewhere else (),
            )
        )

    def blame(self, code: str, message: str, at: Elsewhere | None, *, help: str = "") -> None:  # noqa: A002
        """Note a mistake of a file that is no part of the configuration."""
        self.found.append(
            Diagnostic(
                code=code,
                message=message,
                span=at.span if at else None,
                label=at.label if at else "",
                help=help,
                severity=_severity(code),
                excerpt=at.excerpt if at else (),
            )
        )

    @property
    def has_errors(self) -> bool:
        return any(item.severity == "error" for item in self.found)

    def is_unread(self, path: Path) -> bool:
        """Whether a value stands in a secret file that was not opened: nothing can be said about it."""
        return not self._secrets_were_read and self.document.is_secret(path)

    def span(self, path: Path, at: Part) -> Span | None:
        """The place of one part of a path; None when the file says nothing about it."""
        if at == "nowhere" or (path and path[0] not in self.document.data):
            return None
        if at == "key":
            return self.document.key_span(path)
        return self.document.value_span(path) if at == "value" else self.document.table_span(path)

    def quote(self, path: Path, value: object) -> str:
        """A value in a message: short, on one line, and never a secret."""
        if self.document.is_secret(path):
            return "the value of the secret file"
        text = printable(json.dumps(value, ensure_ascii=False, default=str))
        if len(text) > LONGEST_QUOTE:
            text = text[: LONGEST_QUOTE - 3] + "..."
        return f"`{text}`"

    def _setter(self, path: Path) -> str:
        origin = self.document.origin(path)
        return f" (set by {origin})" if origin.kind in {"flag", "variable"} else ""


def _severity(code: str) -> Severity:
    return "warning" if code.startswith("W") else "error"


def table_name(path: Path) -> str:
    """How a message names a table: `app "blog"`, `[apps.blog.nginx]`, `the top of the file`."""
    names = [str(part) for part in path if isinstance(part, str)]
    if not names:
        return "the top of the file"
    if len(names) == 2 and names[0] in {"apps", "instances"}:
        return f'{names[0][:-1]} "{printable(names[1])}"'
    return f"`[{printable('.'.join(names))}]`"
