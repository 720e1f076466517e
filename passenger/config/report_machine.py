"""Diagnostics for programs: JSON for editors and scripts, SARIF 2.1.0 for code scanners, annotations for GitHub.

Lines and columns count from 1, columns in characters (code points), ends are exclusive, in all three.
"""

from __future__ import annotations

import json
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, Final

from passenger.config.diagnostics import Diagnostic, Span
from passenger.config.document import Document
from passenger.config.report_order import counts, in_file_order

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def to_json(diagnostics: Sequence[Diagnostic], document: Document | None) -> str:
    """One object: `valid`, counts, and every diagnostic with its places."""
    errors, warnings = counts(diagnostics)
    report = {
        "valid": errors == 0,
        "errors": errors,
        "warnings": warnings,
        "files": list(document.files) if document else [],
        "diagnostics": [_as_json(found) for found in in_file_order(diagnostics, document)],
    }
    return json.dumps(report, indent=2) + "\n"


def _as_json(found: Diagnostic) -> dict[str, Any]:
    return {
        "code": found.code,
        "severity": found.severity,
        "message": found.message,
        "path": list(found.path),
        **(_json_span(found.span) if found.span else {"file": None, "start": None, "end": None}),
        "label": found.label,
        "help": found.help,
        "docs": found.docs,
        "related": [{**_json_span(span), "label": label} for span, label in found.related],
    }


def _json_span(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "start": {"line": span.line, "column": span.column},
        "end": {"line": span.end_line, "column": span.end_column},
    }


def to_sarif(
    diagnostics: Sequence[Diagnostic], document: Document | None, *, version: str, meanings: Mapping[str, str]
) -> str:
    """A SARIF 2.1.0 log with one run. `meanings`: code -> one line, for the rules."""
    ordered = in_file_order(diagnostics, document)
    codes = sorted({found.code for found in ordered})
    rules = [{"id": code, "shortDescription": {"text": meanings.get(code, code)}} for code in codes]
    driver = {"name": "passenger validate", "version": version, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(found, codes) for found in ordered],
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _sarif_result(found: Diagnostic, codes: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": codes.index(found.code),
        "level": found.severity,
        "message": {"text": _sentences(found)},
    }
    if found.span:
        result["locations"] = [{"physicalLocation": _sarif_place(found.span)}]
    if found.related:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _sarif_place(span), "message": {"text": label or "see here"}}
            for number, (span, label) in enumerate(found.related, 1)
        ]
    return result


def _sarif_place(span: Span) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": _uri(span.file)},
        "region": {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        },
    }


def _uri(file: str) -> str:
    path = pathlib.PurePosixPath(file)
    quoted = urllib.parse.quote(str(path), errors="surrogateescape")
    return f"file://{quoted}" if path.is_absolute() else quoted


def to_github(diagnostics: Sequence[Diagnostic], document: Document | None) -> str:
    """Workflow commands, one line each; a run turns them into annotations of the changed lines."""
    return "".join(_github_command(found) + "\n" for found in in_file_order(diagnostics, document))


def _github_command(found: Diagnostic) -> str:
    properties: dict[str, str | int] = {}
    if span := found.span:
        properties |= {"file": span.file, "line": span.line, "col": span.column, "endLine": span.end_line}
        if span.end_line == span.line:
            properties["endColumn"] = span.end_column
    properties["title"] = found.code
    shown = ",".join(f"{name}={_github_property(str(value))}" for name, value in properties.items())
    return f"::{found.severity} {shown}::{_github_text(_sentences(found))}"


def _github_text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_text(text).replace(":", "%3A").replace(",", "%2C")


def _sentences(found: Diagnostic) -> str:
    return "; ".join(part for part in (found.message, found.label, found.help) if part)
