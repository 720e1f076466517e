"""Whatever stands in a file, a flag or a variable: reading answers with places inside the file, and never raises."""

from __future__ import annotations

import tomllib

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from passenger.config.document import read
from passenger.config.report_machine import to_github, to_json, to_sarif
from passenger.config.report_text import render
from passenger.config.syntax import parse
from tests.support.toml_documents import toml_documents

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
PIECES = st.sampled_from(
    [
        "",
        "x",
        '"',
        "'",
        '"""',
        "'''",
        "=",
        "[",
        "]",
        "[[",
        "{",
        "}",
        ",",
        ".",
        "#",
        "\n",
        "\r",
        "\\",
        "\x00",
        "é",
        "0",
        "_",
        " ",
        ":",
        "${env:X}",
    ]
)


@st.composite
def broken_documents(draw: st.DrawFn) -> str:
    """A valid document with one to three pieces replaced: what people type."""
    text = draw(toml_documents())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        text = text[:start] + draw(PIECES) + text[start + draw(st.integers(0, 3)) :]
    return text


def check(text: str) -> None:
    document, problems = read(None, text=text, environ={}, cwd="/")
    for report in (
        render(problems, document, color=False, width=80),
        to_json(problems, document),
        to_sarif(problems, document, version="1", meanings={}),
        to_github(problems, document),
    ):
        assert report.encode() is not None
    lines = text.split("\n")
    for problem in problems:
        span = problem.span
        assert span is not None
        assert 1 <= span.line <= span.end_line <= len(lines)
        assert 1 <= span.column <= len(lines[span.line - 1]) + 1
        assert span.line < span.end_line or span.column < span.end_column or not text.strip()


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(broken_documents())
@example('a = [1,\n"""\n')
@example("a = 'x\n\n\n")
@example("[a]\n[a.b]\n[a]\nb.c = 1")
@example("a.b = 1\n[a]\n[a.b]\n")
def test_broken_documents_get_places_inside_the_file(text: str) -> None:
    check(text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_gets_places_inside_the_file(text: str) -> None:
    check(text)


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(st.one_of(broken_documents(), toml_documents()))
def test_a_file_is_refused_exactly_when_tomllib_refuses_it(text: str) -> None:
    try:
        tomllib.loads(text)
    except ValueError:
        accepted = False
    else:
        accepted = bool(text.strip())
    source, problems = parse("p.toml", folder="/", content=text.encode())
    assert (source is not None, problems == []) == (accepted, accepted)


@settings(max_examples=300, deadline=None)
@given(st.binary())
def test_any_bytes_are_either_a_file_or_a_mistake(content: bytes) -> None:
    source, problems = parse("p.toml", folder="/", content=content)
    assert (source is None) == bool(problems)


@settings(max_examples=300, deadline=None)
@given(st.text(), st.text(st.characters(exclude_characters="=\0")), st.text())
def test_any_flag_and_variable_is_set_or_refused(flag: str, name: str, value: str) -> None:
    environ = {f"PASSENGER__apps__{name}": value}
    document, problems = read(None, text="config_version = 1", environ=environ, flags=[flag, f"a={flag}"], cwd="/")
    assert document is not None
    assert all(problem.span is None for problem in problems)
    assert "a" in document.data
