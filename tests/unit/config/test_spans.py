"""The span index: exact places for every way to write a key, and one tree with tomllib."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from passenger.config.diagnostics import Path, Span
from passenger.config.spans import Entry, SpanIndex
from tests.support.toml_documents import toml_documents

DOCUMENT = """\
config_version = 1
[apps.blog]
app_root = "/srv/blog"
nginx.client_max_body_size = "1MiB"
env = { LANG = "de_DE", "K L" = "ü", M = "x" }
server_names = ["a.example", "b.example"]
[apps."my.app"]
\tuser = 'ann'
[[instances.main.nginx.listen]]
address = "*:80"
[[instances.main.nginx.listen]]
address = "*:443"
"""


def text_at(document: str, span: Span) -> str:
    """What stands at a span."""
    lines = document.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("path", "key", "value", "table"),
    [
        (("config_version",), "config_version", "1", "config_version"),
        (("apps", "blog"), "blog", "[apps.blog]", "[apps.blog]"),
        (("apps", "blog", "app_root"), "app_root", '"/srv/blog"', "app_root"),
        (("apps", "blog", "nginx"), "nginx", "nginx", "nginx"),
        (("apps", "blog", "nginx", "client_max_body_size"), "client_max_body_size", '"1MiB"', "client_max_body_size"),
        (("apps", "blog", "env"), "env", '{ LANG = "de_DE", "K L" = "ü", M = "x" }', "env"),
        (("apps", "blog", "env", "K L"), '"K L"', '"ü"', '"K L"'),
        (("apps", "blog", "env", "M"), "M", '"x"', "M"),
        (("apps", "blog", "server_names", 1), '"b.example"', '"b.example"', '"b.example"'),
        (("apps", "my.app", "user"), "user", "'ann'", "user"),
        (
            ("instances", "main", "nginx", "listen", 1),
            "listen",
            "[[instances.main.nginx.listen]]",
            "[[instances.main.nginx.listen]]",
        ),
        (("instances", "main", "nginx", "listen", 1, "address"), "address", '"*:443"', "address"),
        (("apps", "blog", "missing", "deeper"), "blog", "[apps.blog]", "[apps.blog]"),
    ],
)
def test_each_part_of_a_path_has_its_own_place(path: Path, key: str, value: str, table: str) -> None:
    index = SpanIndex("p.toml", DOCUMENT.encode())
    spans = (index.key_span(path), index.value_span(path), index.table_span(path))
    assert [text_at(DOCUMENT, span) for span in spans if span] == [key, value, table]


def test_columns_count_characters_and_lines_end_with_or_without_carriage_return() -> None:
    index = SpanIndex("p.toml", 'a = 1\r\n"日本" = "é" # ü\r\n'.encode())
    assert index.key_span(("日本",)) == Span("p.toml", 2, 1, 2, 5)
    assert index.value_span(("日本",)) == Span("p.toml", 2, 8, 2, 11)


def test_the_root_stands_at_the_start_of_the_file() -> None:
    assert SpanIndex("p.toml", b"\n\na = 1\n").table_span(()) == Span("p.toml", 1, 1, 1, 1)


def test_every_element_of_an_array_of_tables_is_told_from_the_others() -> None:
    document = "[[l]]\na = 1\n[l.sub]\nb = 1\n[[l]]\n[l.sub]\nb = 2\n"
    index = SpanIndex("p.toml", document.encode())
    lines = [span.line for number in (0, 1) if (span := index.key_span(("l", number, "sub", "b")))]
    assert lines == [4, 7]


@pytest.mark.parametrize(
    ("document", "path", "first", "second", "extends"),
    [
        ("a = 1\na = 2\n", ("a",), 1, 2, False),
        ("[t]\n[u]\n[t]\n", ("t",), 1, 3, False),
        ("t.a = 1\nt.a = 1\n", ("t", "a"), 1, 2, False),
        ("a = { x = 1,\tx = 2 }\n", ("a", "x"), 1, 1, False),
        ("a = 1\n[a]\n", ("a",), 1, 2, False),
        ("a = {}\na.b = 1\n", ("a",), 1, 2, True),
        ("a = {}\n[a.b]\n", ("a",), 1, 2, True),
        ("a = []\n[[a]]\n", ("a",), 1, 2, True),
    ],
)
def test_what_stands_twice_is_known_with_both_places(
    document: str, path: Path, first: int, second: int, *, extends: bool
) -> None:
    (repeated,) = SpanIndex("p.toml", document.encode()).repeated
    assert (repeated.path, repeated.first.line, repeated.second.line, repeated.extends) == (
        path,
        first,
        second,
        extends,
    )


@pytest.mark.parametrize("broken", ["a = \n", "[", "[[x]\n", "a = [1,", "= 1", "a.b. = 1", "\x00", '"', "[a.]\nb=1"])
def test_a_broken_document_still_has_an_index(broken: str) -> None:
    """The index never judges and never raises."""
    assert SpanIndex("p.toml", broken.encode()).table_span(("a",)) is not None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(toml_documents())
def test_the_index_and_tomllib_agree_on_generated_documents(document: str) -> None:
    """The trees are equal, every value's text reads as the value, every key's text as the key."""
    index = SpanIndex("p.toml", document.encode())
    assert index.repeated == []
    compare(document, index.root, tomllib.loads(document), ())


def compare(document: str, entry: Entry, value: Any, path: Path) -> None:
    if entry.value is not None:
        assert tomllib.loads(f"v = {text_at(document, entry.value)}")["v"] == value
    if entry.key is not None:
        name = next(step for step in reversed(path) if isinstance(step, str))
        assert list(tomllib.loads(f"{text_at(document, entry.key)} = 0")) == [name]
    children = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
    assert entry.children.keys() == children.keys(), path
    assert entry.value or entry.header or entry.key, path
    for step, child in children.items():
        compare(document, entry.children[step], child, (*path, step))
