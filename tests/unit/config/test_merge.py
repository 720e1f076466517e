"""`conf.d`: tables merge; a value in two files is an error that names both places."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.config.diagnostics import Diagnostic
from passenger.config.document import Document, read


def read_files(folder: Path, files: dict[str, str]) -> tuple[Document, list[Diagnostic]]:
    (folder / "conf.d").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    document, problems = read("p.toml", environ={}, cwd=str(folder))
    assert document is not None
    return document, problems


def test_tables_of_several_files_become_one(tmp_path: Path) -> None:
    files = {
        "p.toml": "config_version = 1\n[apps.blog]\nuser = 'ann'\n",
        "conf.d/b.toml": "[apps.shop]\nuser = 'bob'\n",
        "conf.d/a.toml": "config_version = 1\n[apps.blog.env]\nA = '1'\n",
        "conf.d/.hidden.toml": "[broken",
        "conf.d/readme.txt": "[broken",
    }
    document, problems = read_files(tmp_path, files)
    assert problems == []
    assert document.data == {
        "config_version": 1,
        "apps": {"blog": {"user": "ann", "env": {"A": "1"}}, "shop": {"user": "bob"}},
    }
    assert document.files == ("p.toml", "conf.d/a.toml", "conf.d/b.toml")


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("[apps.blog]\nuser = 'a'\n", "[apps.blog]\nuser = 'a'\n", "E110"),
        ("[apps.blog]\nserver_names = ['a']\n", "[apps.blog]\nserver_names = ['b']\n", "E110"),
        ("[apps.blog]\nenv = 'a'\n", "[apps.blog.env]\nA = 'b'\n", "E111"),
        ("[apps.blog.env]\nA = 'b'\n", "[apps.blog]\nenv = 'a'\n", "E111"),
        ("config_version = 1\n[apps.blog]\n", "config_version = 2\n[apps.shop]\n", "E110"),
    ],
)
def test_what_cannot_merge_is_named_with_both_places(tmp_path: Path, first: str, second: str, code: str) -> None:
    _, (problem,) = read_files(tmp_path, {"p.toml": first, "conf.d/a.toml": second})
    assert problem.span is not None
    assert (problem.code, problem.span.file, problem.related[0][0].file) == (code, "conf.d/a.toml", "p.toml")


def test_the_first_value_stays_so_that_checks_can_go_on(tmp_path: Path) -> None:
    document, _ = read_files(tmp_path, {"p.toml": "config_version = 1\n", "conf.d/a.toml": "config_version = 2\n"})
    assert document.data == {"config_version": 1}


def test_every_clash_of_every_file_is_reported(tmp_path: Path) -> None:
    files = {"p.toml": "a = 1\nb = 1\n", "conf.d/a.toml": "a = 1\nb = 2\n", "conf.d/b.toml": "b = 1\n"}
    _, problems = read_files(tmp_path, files)
    places = [(problem.path, problem.span.file) for problem in problems if problem.span]
    assert places == [(("a",), "conf.d/a.toml"), (("b",), "conf.d/a.toml"), (("b",), "conf.d/b.toml")]


def test_each_value_knows_its_file_and_the_folder_where_its_paths_start(tmp_path: Path) -> None:
    files = {"p.toml": "[apps.blog]\nuser = 'a'\n", "conf.d/a.toml": "[apps.blog]\napp_root = 'x'\n[apps.shop]\n"}
    document, _ = read_files(tmp_path, files)
    assert str(document.origin(("apps", "blog", "user"))) == "p.toml:2:8"
    assert str(document.origin(("apps", "blog", "app_root"))) == "conf.d/a.toml:2:12"
    assert document.folder_of(("apps", "blog", "user")) == str(tmp_path)
    assert document.folder_of(("apps", "blog", "app_root")) == str(tmp_path / "conf.d")
    table = document.table_span(("apps", "shop"))
    assert table is not None
    assert (table.file, table.line) == ("conf.d/a.toml", 3)


@pytest.mark.parametrize("text", ["", "\n \n", "# switched off\n"])
def test_switched_off_file_is_empty(tmp_path: Path, text: str) -> None:
    """Emptying a file of conf.d is how packages and people switch it off; an empty main file stays a mistake."""
    document, problems = read_files(tmp_path, {"p.toml": "config_version = 1\n", "conf.d/a.toml": text})
    assert problems == []
    assert document.data == {"config_version": 1}


def test_missing_and_wrong_files_of_conf_d_tell_whose_they_are(tmp_path: Path) -> None:
    """A dangling link and a folder: the next step is in conf.d, not on the command line."""
    (tmp_path / "p.toml").write_text("config_version = 1\n")
    (tmp_path / "conf.d" / "b.toml").mkdir(parents=True)
    (tmp_path / "conf.d" / "a.toml").symlink_to("/nowhere/at/all")
    _, problems = read("p.toml", environ={}, cwd=str(tmp_path))
    assert [problem.code for problem in problems] == ["E101", "E103"]
    assert all(problem.help.startswith("p.toml takes every `*.toml` of conf.d") for problem in problems)
