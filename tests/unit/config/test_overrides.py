"""Flags beat variables, variables beat files; each value knows who set it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from passenger.config.diagnostics import Diagnostic
from passenger.config.document import Document, read
from passenger.config.overrides import parse_value

FILE = "config_version = 1\n[apps.blog]\nmin_instances = 1\nserver_names = ['a']\n"


def override(flags: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> tuple[Document, list[Diagnostic]]:
    document, problems = read(None, text=FILE, environ=environ or {}, flags=flags, cwd="/work")
    assert document is not None
    return document, problems


def test_a_flag_beats_a_variable_and_a_variable_beats_the_file() -> None:
    name = "PASSENGER__apps__blog__min_instances"
    path = ("apps", "blog", "min_instances")
    with_variable, _ = override(environ={name: "2"})
    with_both, _ = override(["apps.blog.min_instances=3"], {name: "2"})
    assert (with_variable.data["apps"]["blog"]["min_instances"], str(with_variable.origin(path))) == (
        2,
        f"variable {name}",
    )
    assert with_both.data["apps"]["blog"]["min_instances"] == 3
    assert str(with_both.origin(path)) == "flag --set apps.blog.min_instances"


def test_the_later_of_two_flags_wins() -> None:
    document, _ = override(["apps.blog.min_instances=3", "apps.blog.min_instances=4"])
    assert document.data["apps"]["blog"]["min_instances"] == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ('{ A = "1" }', {"A": "1"}),
        ('"3"', "3"),
        ("www.example.com", "www.example.com"),
        ("90s", "90s"),
        ("", ""),
        ("3 # three", "3 # three"),
        ("3#x", "3#x"),
        ("1, w = 2", "1, w = 2"),
        ("1,", "1,"),
        ("1}\nx = {y = 2", "1}\nx = {y = 2"),
        ("a=b", "a=b"),
        ("[" * 3000, "[" * 3000),
        ("[" * 60 + "]" * 60, "[" * 60 + "]" * 60),
    ],
)
def test_a_value_is_toml_or_else_a_string_and_nothing_can_be_smuggled_in(text: str, value: Any) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["1000", "true", "1.5", "1979-05-27"])
def test_where_the_model_wants_text_a_bare_word_stays_text(text: str) -> None:
    document, _ = override([f"apps.blog.user={text}", f"apps.blog.env.PORT={text}", f"defaults.env.PORT={text}"])
    assert document.data["apps"]["blog"]["user"] == text
    assert document.data["apps"]["blog"]["env"]["PORT"] == text
    assert document.data["defaults"]["env"]["PORT"] == text


def test_a_number_where_a_unit_is_needed_stays_a_number_for_the_check_to_complain() -> None:
    document, _ = override(["apps.blog.start_timeout=90"])
    assert document.data["apps"]["blog"]["start_timeout"] == 90


def test_a_flag_may_quote_names_with_dots_and_equal_signs() -> None:
    document, problems = override(['apps."my.app".user=ann', "apps.'a=b'.user=x=y"])
    assert problems == []
    assert document.data["apps"]["my.app"] == {"user": "ann"}
    assert document.data["apps"]["a=b"] == {"user": "x=y"}


def test_double_underscores_in_the_name_of_an_application_variable_survive() -> None:
    document, _ = override(environ={"PASSENGER__apps__blog__env__MY__KEY": "a", "PASSENGER__defaults__env__A__B": "b"})
    assert document.data["apps"]["blog"]["env"] == {"MY__KEY": "a"}
    assert document.data["defaults"]["env"] == {"A__B": "b"}


def test_other_variables_of_the_environment_are_left_alone() -> None:
    document, problems = override(environ={"PASSENGER_APP_ENV": "x", "PASSENGER_": "y", "passenger__a": "z"})
    assert (list(document.data), problems) == (["config_version", "apps"], [])


@pytest.mark.parametrize("flag", ["zap", "=3", "a..b=3", "a b=3", "", "a\n.b=1", ".".join("a" * 500) + "=1"])
def test_a_malformed_flag_is_an_error_without_its_value(flag: str) -> None:
    _, (problem,) = override([flag])
    assert (problem.code, problem.span) == ("E130", None)


@pytest.mark.parametrize("name", ["PASSENGER__", "PASSENGER__apps____user", "PASSENGER__apps__"])
def test_a_malformed_variable_is_an_error_that_names_it(name: str) -> None:
    _, (problem,) = override(environ={name: "hush"})
    assert problem.code == "E131"
    assert name in problem.message
    assert "hush" not in repr(problem)


@pytest.mark.parametrize("flag", ["config_version.x=1", "apps.blog.server_names.x=1"])
def test_an_override_cannot_go_through_a_value_or_an_array(flag: str) -> None:
    document, (problem,) = override([flag])
    assert problem.code == "E132"
    assert flag.partition("=")[0] in problem.message
    assert document.data["apps"]["blog"]["server_names"] == ["a"]


def test_what_an_override_set_has_no_place_in_a_file_but_an_origin_and_the_working_folder() -> None:
    document, _ = override(["apps.shop.app_root=x"])
    for path in [("apps", "shop"), ("apps", "shop", "app_root"), ("apps", "shop", "missing")]:
        assert document.key_span(path) is document.value_span(path) is document.table_span(path) is None
        assert document.origin(path).detail == "--set apps.shop.app_root"
    assert document.folder_of(("apps", "shop", "app_root")) == "/work"
    assert document.key_span(("apps", "blog")) is not None
    assert document.key_span(("apps",)) is not None


def test_a_table_replaced_by_a_later_override_forgets_the_earlier_one() -> None:
    document, _ = override(['apps.blog.env={ A = "1" }'], {"PASSENGER__apps__blog__env__B": "2"})
    assert document.data["apps"]["blog"]["env"] == {"A": "1"}
    assert document.origin(("apps", "blog", "env", "A")).kind == "flag"
