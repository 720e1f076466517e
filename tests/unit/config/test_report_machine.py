"""Reports for programs: JSON, SARIF 2.1.0, GitHub annotations."""

from __future__ import annotations

import json
from typing import Any

from passenger.config.diagnostics import Diagnostic, Span
from passenger.config.report_machine import to_github, to_json, to_sarif

SPAN = Span("etc/my file.toml", 3, 1, 3, 13)
FOUND = [
    Diagnostic(
        code="E204",
        message="unknown key",
        span=SPAN,
        path=("apps", "web", "listen", 0),
        label="did you mean this?",
        help="100% sure,\nreally",
        docs="apps.x",
        related=((Span("/etc/other.toml", 1, 2, 2, 1), "first"),),
    ),
    Diagnostic(code="W301", message="an instance without apps", severity="warning"),
]


def test_json_tells_everything_in_file_order() -> None:
    report = json.loads(to_json(FOUND, None))
    assert (report["valid"], report["errors"], report["warnings"], report["files"]) == (False, 1, 1, [])
    assert report["diagnostics"][0]["file"] is None
    assert report["diagnostics"][1] == {
        "code": "E204",
        "severity": "error",
        "message": "unknown key",
        "path": ["apps", "web", "listen", 0],
        "file": "etc/my file.toml",
        "start": {"line": 3, "column": 1},
        "end": {"line": 3, "column": 13},
        "label": "did you mean this?",
        "help": "100% sure,\nreally",
        "docs": "apps.x",
        "related": [
            {
                "file": "/etc/other.toml",
                "start": {"line": 1, "column": 2},
                "end": {"line": 2, "column": 1},
                "label": "first",
            }
        ],
    }


def test_warnings_alone_are_valid() -> None:
    assert json.loads(to_json(FOUND[1:], None))["valid"] is True


def sarif(found: list[Diagnostic]) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(to_sarif(found, None, version="1.2", meanings={"E204": "no such key"}))
    return log


def test_sarif_has_one_run_with_a_rule_per_code() -> None:
    log = sarif([*FOUND, FOUND[0]])
    (run,) = log["runs"]
    assert (log["version"], run["columnKind"]) == ("2.1.0", "unicodeCodePoints")
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["E204", "W301"]
    assert run["tool"]["driver"]["rules"][0]["shortDescription"]["text"] == "no such key"
    assert [(result["ruleId"], result["ruleIndex"], result["level"]) for result in run["results"]] == [
        ("W301", 1, "warning"),
        ("E204", 0, "error"),
        ("E204", 0, "error"),
    ]


def test_sarif_places_are_uris_with_regions() -> None:
    first, second = sarif(FOUND)["runs"][0]["results"]
    assert "locations" not in first
    assert second["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "etc/my%20file.toml"},
        "region": {"startLine": 3, "startColumn": 1, "endLine": 3, "endColumn": 13},
    }
    assert second["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///etc/other.toml"


def test_sarif_without_findings_is_an_empty_run() -> None:
    (run,) = sarif([])["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_github_commands_are_escaped_one_line_each() -> None:
    """Neither a comma in a file name nor a line feed in a text can start another command or property."""
    odd = Diagnostic(code="E1", message="a\n::error::b", span=Span("a,b:c%.toml", 1, 2, 1, 3))
    assert to_github([*FOUND, odd], None) == (
        "::warning title=W301::an instance without apps\n"
        "::error file=etc/my file.toml,line=3,col=1,endLine=3,endColumn=13,title=E204"
        "::unknown key; did you mean this?; 100%25 sure,%0Areally\n"
        "::error file=a%2Cb%3Ac%25.toml,line=1,col=2,endLine=1,endColumn=3,title=E1::a%0A::error::b\n"
    )
