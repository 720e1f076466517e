"""References to the environment and to secret files: whole values, after parsing, never as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.config.diagnostics import Diagnostic
from passenger.config.document import Document, read
from passenger.config.interpolation import SECRET_SIZE_MAX


def follow(
    text: str, *, environ: Mapping[str, str] | None = None, cwd: str = "/", flags: tuple[str, ...] = ()
) -> tuple[Document, list[Diagnostic]]:
    document, problems = read(None, text=text, environ=environ or {}, cwd=cwd, flags=flags)
    assert document is not None
    return document, problems


def blog(body: str, *, cwd: str = "/", environ: Mapping[str, str] | None = None) -> Any:
    document, problems = follow(f"[apps.blog]\n{body}\n", cwd=cwd, environ=environ)
    assert problems == []
    return document.data["apps"]["blog"]


def refusal(body: str, *, cwd: str = "/", environ: Mapping[str, str] | None = None) -> Diagnostic:
    document, (problem,) = follow(f"[apps.blog]\n{body}\n", cwd=cwd, environ=environ)
    assert problem.path in document.unresolved
    return problem


@pytest.mark.parametrize(
    "body",
    [
        'user = "${env:WHO}"',
        'user = { env = "WHO" }',
        'user = { env = "WHO", default = "bob" }',
        'user = { env = "NOBODY_SET", default = "ann" }',
        'user.env = "WHO"',
        '[apps.blog.user]\nenv = "WHO"',
    ],
)
def test_a_whole_string_can_come_from_the_environment(body: str) -> None:
    assert blog(body, environ={"WHO": "ann"}) == {"user": "ann"}


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_what_comes_from_the_environment_is_never_looked_at_again(value: str) -> None:
    assert blog('user = "${env:WHO}"', environ={"WHO": value}) == {"user": value}


def test_arrays_and_listeners_take_references_as_elements() -> None:
    text = '[instances.main.nginx]\nlisten = ["${env:L}", { env = "L" }, { address = "${env:L}" }]\n'
    document, problems = follow(text, environ={"L": "*:80"})
    assert problems == []
    assert document.data["instances"]["main"]["nginx"]["listen"] == ["*:80", "*:80", {"address": "*:80"}]


def test_variables_of_an_application_may_be_called_like_the_words_of_a_reference() -> None:
    body = '[apps.blog.env]\nfile = "a"\n'
    assert blog(body) == {"env": {"file": "a"}}
    assert blog('[apps.blog.env]\nenv = "a"\ndefault = "b"\n') == {"env": {"env": "a", "default": "b"}}
    assert follow('[apps.env]\nuser = "x"\n[apps.file]\nuser = "y"\n')[1] == []


def test_an_application_called_file_is_no_reference() -> None:
    document, problems = follow('[apps]\nfile = { user = "x" }\n[instances.env]\nlog_level = "info"\n')
    assert (problems, document.data["apps"]["file"]) == ([], {"user": "x"})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("$${env:X}", "${env:X}"),
        ("a $${env:X} b $${env:Y}", "a ${env:X} b ${env:Y}"),
        ("$$${env:X}", "$${env:X}"),
        ("${X}", "${X}"),
        ("$env:X", "$env:X"),
    ],
)
def test_two_dollar_signs_make_text(written: str, meant: str) -> None:
    assert blog(f'user = "{written}"', environ={"X": "bad"}) == {"user": meant}


@pytest.mark.parametrize(
    "written", ["a ${env:X}", "${env:X}${env:X}", "${env:}", "${env:X", "${env:1}", "$${env:X} ${env:X}"]
)
def test_a_reference_inside_text_is_an_error_not_a_substitution(written: str) -> None:
    problem = refusal(f'user = "{written}"', environ={"X": "x"})
    assert (problem.code, problem.span and problem.span.column) == ("E124", 8)


def test_a_variable_that_is_not_set_is_an_error_at_the_value() -> None:
    problem = refusal('env = { A = "${env:NOPE}" }')
    assert (problem.code, problem.span and (problem.span.line, problem.span.column)) == ("E120", (2, 13))
    assert "NOPE" in problem.message


@pytest.mark.parametrize("value", ['"${env:N}"', '{ env = "N" }', '{ file = "n" }'])
@pytest.mark.parametrize("key", ["min_instances", "load_shell_envvars", "server_names"])
def test_only_strings_can_come_from_outside(key: str, value: str) -> None:
    assert refusal(f"{key} = {value}", environ={"N": "1"}).code == "E125"


@pytest.mark.parametrize(
    "value", ["{ env = 1 }", '{ env = "A-B" }', '{ env = "A", default = 1 }', '{ file = "" }', "{ file = 1 }"]
)
def test_a_malformed_reference_is_an_error(value: str) -> None:
    assert refusal(f"user = {value}").code == "E125"


@pytest.mark.parametrize("value", ['{ file = "a", env = "B" }', '{ file = "a", mode = 1 }', '{ default = "a" }', "{}"])
def test_a_table_with_other_keys_is_left_to_the_check_of_types(value: str) -> None:
    assert isinstance(blog(f"user = {value}")["user"], dict)


def test_keys_that_the_model_does_not_know_are_left_alone() -> None:
    assert blog('usr = "${env:NOPE}"') == {"usr": "${env:NOPE}"}


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"s3\n", "s3"), (b"s3", "s3"), (b"a\nb\n\n", "a\nb\n"), (b"s3\r\n", "s3"), (b"${env:X}", "${env:X}")],
)
def test_a_secret_file_gives_its_text_without_one_line_end(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    document, problems = follow('[apps.blog.env]\nKEY = { file = "secret" }\nB = "x"\n', cwd=str(tmp_path))
    assert problems == []
    assert document.data["apps"]["blog"]["env"]["KEY"] == value
    assert document.is_secret(("apps", "blog", "env", "KEY"))
    assert not document.is_secret(("apps", "blog", "env", "B"))
    assert str(document.origin(("apps", "blog", "env", "KEY"))) == "<stdin>:2:7 (file secret)"


def test_a_secret_file_is_found_from_the_folder_of_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "p.toml").write_text("[apps.blog]\n")
    (tmp_path / "conf.d" / "a.toml").write_text('[apps.blog.env]\nKEY = { file = "secret" }\n')
    (tmp_path / "conf.d" / "secret").write_text("hush")
    document, problems = read("p.toml", environ={}, cwd=str(tmp_path))
    assert problems == []
    assert document is not None
    assert document.data["apps"]["blog"]["env"]["KEY"] == "hush"


def test_secret_files_are_not_opened_when_they_are_not_wanted() -> None:
    text = '[apps.blog.env]\nKEY = { file = "/nonexistent" }\n'
    document, problems = read(None, text=text, environ={}, cwd="/", read_secrets=False)
    assert problems == []
    assert document is not None
    path = ("apps", "blog", "env", "KEY")
    assert (document.data["apps"]["blog"]["env"]["KEY"], document.is_secret(path)) == ("", True)
    assert document.unresolved == frozenset()


@pytest.mark.parametrize(
    ("content", "code"), [(b"a" * (SECRET_SIZE_MAX + 1), "E122"), (b"\xff", "E123"), (b"a\0b", "E123"), (None, "E121")]
)
def test_a_bad_secret_file_is_an_error_that_does_not_show_it(tmp_path: Path, content: bytes | None, code: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    assert refusal('env = { KEY = { file = "secret" } }', cwd=str(tmp_path)).code == code


def test_a_secret_of_exactly_the_cap_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"a" * SECRET_SIZE_MAX)
    assert len(blog('user = { file = "secret" }', cwd=str(tmp_path))["user"]) == SECRET_SIZE_MAX


@pytest.mark.parametrize("name", [".", "/dev/zero", "a\\u0000b"])
def test_what_is_no_regular_file_is_refused(name: str) -> None:
    assert refusal(f'user = {{ file = "{name}" }}').code == "E121"


def test_an_override_may_be_a_reference_and_replaces_one_that_cannot_be_followed() -> None:
    text = '[apps.blog]\nuser = "${env:NOPE}"\n'
    document, problems = follow(text, environ={"WHO": "ann"}, flags=("apps.blog.user=${env:WHO}",))
    assert problems == []
    assert document.data["apps"]["blog"]["user"] == "ann"
    assert document.origin(("apps", "blog", "user")).kind == "flag"


def test_every_reference_that_cannot_be_followed_is_reported() -> None:
    _, problems = follow('[apps.a]\nuser = "${env:A}"\n[apps.b]\nuser = "${env:B}"\n[defaults]\ngroup = "${env:C}"\n')
    assert [problem.path for problem in problems] == [
        ("apps", "a", "user"),
        ("apps", "b", "user"),
        ("defaults", "group"),
    ]
