"""Golden files: every bad configuration of `bad/` and exactly what `passenger validate` says about it.

`UPDATE_GOLDEN=1 pytest tests/unit/config/test_bad.py` writes the texts anew; each is to be read by a person then.
A file may say on its first lines what surrounds it: `# host: NAME` (a machine of `fake_host`), `# flag: A=B`,
`# env: NAME=VALUE`, `# target: KIND [MANIFEST [SERVICE]]`. Without a host the stage E4xx is left out.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from passenger.config.codes import CODES
from passenger.config.diagnostics import Diagnostic
from passenger.config.load import Loaded, load
from passenger.config.manifest import ManifestError
from passenger.config.manifests import described
from passenger.config.report_text import render
from passenger.config.target import Kind, Target, without_manifest
from tests.unit.config.fake_host import named

BAD = Path(__file__).parent / "bad"
CASES = sorted(
    [path.name for path in BAD.glob("*.toml")] + [f"{path.parent.name}/passenger.toml" for path in BAD.glob("*/*.toml")]
)
SHOWN_ELSEWHERE = {
    "E101",  # a file that is not there
    "E102",  # one that cannot be read
    "E103",  # a folder in its place
    "E121",  # a secret that cannot be read: the words name the user
    "E122",  # a secret of megabytes
    "E123",  # a secret that is no text
    "E128",  # a credential: tests/unit/config/test_credentials.py
    "W403",  # a file that everybody may change
}
"""Codes that a small file of this folder cannot show."""


def _loaded(case: str) -> Loaded:
    settings = re.findall(rb"^# (host|flag|env|target): (.*)$", (BAD / case).read_bytes(), re.MULTILINE)
    told = [(kind.decode(), value.decode()) for kind, value in settings]
    host = next((named(value) for kind, value in told if kind == "host"), None)
    environ = dict(value.split("=", 1) for kind, value in told if kind == "env")
    flags = [value for kind, value in told if kind == "flag"]
    target, problems = _target(next((value for kind, value in told if kind == "target"), ""))
    loaded = load(case, environ=environ, flags=flags, cwd=str(BAD), host=host, target=target)
    return replace(loaded, config=None, diagnostics=(*problems, *loaded.diagnostics)) if problems else loaded


def _target(setting: str) -> tuple[Target | None, tuple[Diagnostic, ...]]:
    kind, manifest, service, *_ = [*setting.split(), "", "", ""]
    if not kind:
        return None, ()
    place = cast("Kind", kind)
    if not manifest:
        return without_manifest(place), ()
    text = (BAD / manifest).read_text()
    try:
        return described(place, text, manifest, service or None), ()
    except ManifestError as error:
        return None, (error.diagnostic(tuple(text.splitlines())),)


@pytest.mark.parametrize("case", CASES)
def test_report(case: str) -> None:
    """The report of a bad file is, word for word and caret for caret, the one that was approved."""
    loaded = _loaded(case)
    report = render(loaded.diagnostics, loaded.document, color=False, width=120)
    golden = (BAD / case).with_suffix(".txt") if "/" not in case else BAD / f"{case.split('/', maxsplit=1)[0]}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(report, encoding="utf-8")
    assert report == golden.read_text(encoding="utf-8")
    assert loaded.diagnostics
    assert (loaded.config is None) == any(found.severity == "error" for found in loaded.diagnostics)


def test_no_golden_file_is_left_over() -> None:
    """Every approved report belongs to a case."""
    assert {path.stem for path in BAD.glob("*.txt")} == {case.partition("/")[0].removesuffix(".toml") for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_code_in_name(case: str) -> None:
    """A file is about the code in its name, and says nothing under other codes."""
    expected = re.match(r"([ew][0-9]{3})_", case)
    found = {diagnostic.code for diagnostic in _loaded(case).diagnostics}
    assert found <= set(CODES)
    if expected is not None:
        assert expected[1].upper() in found


def test_ten_mistakes_have_their_carets() -> None:
    """One file with many mistakes of all stages: each is reported once, each with a place of its own."""
    found: tuple[Diagnostic, ...] = _loaded("ten_mistakes.toml").diagnostics
    places = {(item.code, item.span) for item in found if item.span is not None}
    assert len(found) >= 10
    assert len(places) == len(found)


def test_every_code_is_shown() -> None:
    """Each code of the registry has a golden file, but for those that no file can show."""
    shown = {found.code for case in CASES for found in _loaded(case).diagnostics}
    assert shown == set(CODES) - SHOWN_ELSEWHERE
