"""Files that cannot be read as configuration: one diagnostic per mistake, at the exact place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from passenger.config.diagnostics import Diagnostic
from passenger.config.document import read
from passenger.config.syntax import FILE_SIZE_MAX, parse


def problems_of(text: str | bytes) -> list[Diagnostic]:
    content = text.encode() if isinstance(text, str) else text
    source, problems = parse("p.toml", folder="/etc", content=content)
    assert source is None
    return problems


def only_problem(text: str | bytes) -> Diagnostic:
    (problem,) = problems_of(text)
    return problem


def marked(problem: Diagnostic) -> str:
    """What the caret stands under."""
    assert problem.span is not None
    line = dict(problem.excerpt)[problem.span.line]
    end = problem.span.end_column if problem.span.end_line == problem.span.line else len(line) + 1
    return line[problem.span.column - 1 : end - 1]


@pytest.mark.parametrize(
    ("text", "mark", "said"),
    [
        ("a = /srv/blog", "/srv/blog", 'write a = "/srv/blog"'),
        ("a = /srv/blog # home", "/srv/blog", 'write a = "/srv/blog"'),
        ("a = 512MiB", "512MiB", 'write a = "512MiB"'),
        ("a = 50%", "50%", 'write a = "50%"'),
        ("a.b = 30s", "30s", 'write a.b = "30s"'),
        ("a = True", "True", "write a = true"),
        ("a = off", "off", "write a = false"),
        ("a = null", "null", "remove it"),
        ("a = \u201cx\u201d", "\u201cx\u201d", 'write a = "x"'),
        ("a = 127.0.0.1:80", "127.0.0.1:80", 'write a = "127.0.0.1:80"'),
        ("a = 010", "010", "write a = 10"),
        ("a = b\\c", "b\\c", "write a = 'b\\c'"),
        ("a = ['x', y, 1]", "y", 'write "y"'),
        ("a = [127.0.0.1:80, 'b']", "127.0.0.1:80", 'write "127.0.0.1:80"'),
        ("a =\nb = 1", "", "at its default"),
        ("a = 1 b = 2", "b = 2", "one key per line"),
        ('a = "x" b = 2', "b = 2", "one key per line"),
        ('a = "x"y"', 'y"', 'written \\"'),
        ('a = "x",', ",", "remove `,`"),
        ('a = "x";  # y', ";", "remove `;`"),
        ("a = 1__0", "1__0", "write a = 1_0"),
        ("a = 1;", "1;", "write a = 1,"),
        ("a = 1\rb = 2\r", "\r", "LF"),
        ('a\u00a0= "b"', "\u00a0", "ordinary space"),
        ("a\u200bb = 1", "\u200b", "remove it"),
        ("\u2028a = 1", "\u2028", "remove it"),
        ("[a.b", "", "ends with `]`"),
        ("// a", "//", "starts with `#`"),
        ("<<<<<<< HEAD", "<<<<<<<", "settle the conflict"),
        (">>>>>>> theirs", ">>>>>>>", "settle the conflict"),
        ('{"a": 1}', "{", "JSON"),
        ("a: 1", ":", "not `key: value`"),
        ("a", "", "a line is `key = value`"),
        ('a = "x', '"x', "no closing quote"),
        ('a = "x\nb = 1', '"x', "no closing quote"),
        ("a = 'x", "'x", "no closing quote"),
        ("a = 'x\nb = 1", "'x", "no closing quote"),
        ("a = 'x\nb = 'y'", "'x", "no closing quote"),
        ('b = """x"""\na = "x', '"x', "no closing quote"),
        ('a = """x\nb = 1', '"""', "never closed"),
        ("a = '''x\nb = 1", "'''", "never closed"),
        ('a = "C:\\path"', "\\p", "write \\\\"),
        ('a = "\\u12"', "\\u", "write \\\\"),
        ('a = "b\x07"', "\x07", "as an escape"),
        ("[t", "", "`]` expected"),
        ("[[t]", "]", "`]]` expected"),
        ("[a b]", "b", "needs quotes"),
        ("[]", "]", "a key belongs here"),
        (" = 1", "=", "a key belongs here"),
        ("sch\u00f6n = 1", "sch\u00f6n", "need quotes"),
        ("\u00f6 = 1", "\u00f6", "needs quotes"),
        ("a = {b = 1,}", "}", "remove the comma"),
        ("a = {b = 1,\nc = 2}", "", "stands on one line"),
        ("a = {b = 1\n}", "", "stands on one line"),
        ("a = [1,\n  2\nb = 3", "b", "`]`"),
        ("a = [1,\nb = 3", "b", "`]`"),
        ("a = [1,", "", "`]`"),
        ("a = " + "9" * 5000, "9" * 5000, "thousands of digits"),
        ("[a.b]\nc = 1\n[a]\nb.d = 1", "b.d", "one piece"),
    ],
)
def test_a_syntax_error_points_at_the_word_and_says_what_to_write(text: str, mark: str, said: str) -> None:
    problem = problems_of(text)[0]
    shown = marked(problem)
    assert (problem.code[:3], shown) == ("E10", mark)
    assert said in f"{problem.message} {problem.label} {problem.help}".replace("use straight quotes:", "write")


def test_every_broken_line_is_reported() -> None:
    """Ten mistakes, ten places."""
    text = 'a = x\nb = 30s\nc: 1\nd = "x\n[e\nf = True\ng = \'y\nh = "\\z"\ni\nj = [1, k]\n'
    found = [problem.span.line for problem in problems_of(text) if problem.span]
    assert found == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_a_broken_header_makes_no_false_duplicates() -> None:
    assert [problem.code for problem in problems_of("[a]\nk = 1\n[b\nk = 2\n")] == ["E107"]


def test_an_open_bracket_ends_the_search_because_the_rest_would_mislead() -> None:
    assert len(problems_of("a = [1,\nb = 2\nc = 3\n")) == 1


def test_every_repetition_is_named_with_both_places() -> None:
    problems = problems_of("a = 1\na = 2\n[t]\n[u]\n[t]\n")
    places = [(problem.code, problem.span.line, problem.related[0][0].line) for problem in problems if problem.span]
    assert places == [("E108", 2, 1), ("E108", 5, 3)]


def test_a_byte_order_mark_is_named_with_the_way_to_remove_it() -> None:
    problem = only_problem(b"\xef\xbb\xbfconfig_version = 1\n")
    assert (problem.code, problem.excerpt) == ("E105", ((1, "config_version = 1"),))
    assert "sed" in problem.help


def test_a_byte_that_is_not_utf8_has_an_offset_a_line_and_a_column() -> None:
    problem = only_problem(b'a = 1\nb = "\xc3\xa4caf\xe9"\n')
    assert problem.span is not None
    assert (problem.code, problem.span.line, problem.span.column) == ("E106", 2, 10)
    assert "0xe9 at offset 16" in problem.message


def test_utf16_is_guessed() -> None:
    assert "UTF-16" in only_problem("a = 1".encode("utf-16")).help


@pytest.mark.parametrize("text", ["", "\n \t\n"])
def test_an_empty_file_is_an_error_that_says_what_is_needed(text: str) -> None:
    problem = only_problem(text)
    assert problem.code == "E104"
    assert "config_version = 1" in problem.help


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "[" * 50 + "]" * 50, ".".join("a" * 3000) + " = 1"])
def test_deep_nesting_is_refused_without_a_recursion_error(text: str) -> None:
    assert only_problem(text).code == "E109"


def codes_of(main: str, cwd: Path) -> list[str]:
    document, problems = read(main, environ={}, cwd=str(cwd))
    assert document is None
    return [problem.code for problem in problems]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert codes_of("nope.toml", tmp_path) == ["E101"]


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert codes_of(".", tmp_path) == ["E103"]


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a = 1\n")
    assert codes_of("f/p.toml", tmp_path) == ["E102"]


def test_a_file_beyond_the_cap_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    with (tmp_path / "p.toml").open("wb") as file:
        file.truncate(FILE_SIZE_MAX + 1)
    assert codes_of("p.toml", tmp_path) == ["E109"]


def test_a_pipe_in_conf_d_does_not_hang_the_reader(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("config_version = 1\n")
    (tmp_path / "conf.d").mkdir()
    os.mkfifo(tmp_path / "conf.d" / "a.toml")
    assert codes_of("p.toml", tmp_path) == ["E102"]


def test_mistakes_of_all_files_come_together_in_file_order(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "p.toml").write_text("a = x\n")
    (tmp_path / "conf.d" / "b.toml").write_text("b = y\n")
    (tmp_path / "conf.d" / "a.toml").write_text("a = z\n")
    _, problems = read("p.toml", environ={}, cwd=str(tmp_path))
    places = [(problem.code, problem.span.file) for problem in problems if problem.span]
    assert places == [("E107", "p.toml"), ("E107", "conf.d/a.toml"), ("E107", "conf.d/b.toml")]
