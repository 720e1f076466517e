"""docs/complaints.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_complaint_has_its_test() -> None:
    """Each row of the table points to a file of tests, and to a function in it if it names one."""
    rows = re.findall(r"^\|.*\|.*\| (`.*) \|$", (ROOT / "docs" / "complaints.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    for file, test in re.findall(r"`([a-z0-9_/]+\.py)(?:::(\w+))?`", "\n".join(rows)):
        text = (ROOT / "tests" / file).read_text()
        assert not test or f"def {test}(" in text, f"{file}::{test}"
