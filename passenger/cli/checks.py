"""One finding of `passenger doctor` and of `validate-install`, and how findings are shown. Pure.

A finding is what was looked at, how it is, and what to do about it when it is not good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from passenger.cli.poolview import plain
from passenger.lazy_dataclass import dataclass
from passenger.log import printable

Verdict = Literal["ok", "warn", "fail"]
COLOURS: Final = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m"}
RESET: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Finding:
    """`todo` says what to do when the verdict is not `ok`."""

    verdict: Verdict
    what: str
    how: str
    todo: str = ""


def good(what: str, how: str) -> Finding:
    return Finding("ok", what, how)


def worst(findings: Sequence[Finding]) -> Verdict:
    verdicts = {finding.verdict for finding in findings}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"


def finding_lines(findings: Sequence[Finding], *, colour: bool) -> Iterator[str]:
    """One line each, with the way out below those that need one, and a summary."""
    width = max((len(finding.what) for finding in findings), default=0)
    for finding in findings:
        mark = f"{finding.verdict:<4}"
        mark = f"{COLOURS[finding.verdict]}{mark}{RESET}" if colour else plain(mark)
        yield f"{mark}  {printable(finding.what):<{width}}  {printable(finding.how)}"
        if finding.todo:
            yield f"      -> {printable(finding.todo)}"
    counts = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in ("fail", "warn", "ok")}
    yield f"{counts['fail']} failed, {counts['warn']} warnings, {counts['ok']} good"
