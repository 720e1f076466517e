"""The caret report: every mark stands under the right cells, nothing of a file reaches the terminal raw."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.config.diagnostics import Diagnostic, Span
from passenger.config.document import Document, read
from passenger.config.report_line import cells, marked_line
from passenger.config.report_text import SHOWN_MAX, render

TEXT = '[apps.web]\napp_root = "/srv/web"\nspwan_method = "smart"\n'


def document_of(text: str) -> Document:
    document, _ = read("passenger.toml", text=text, environ={}, cwd="/etc")
    assert document is not None
    return document


def at(line: int, start: int, end: int, *, file: str = "passenger.toml") -> Span:
    return Span(file, line, start, line, end)


def test_the_anatomy_of_one_error() -> None:
    unknown = Diagnostic(
        code="E204",
        message='unknown key `spwan_method` in app "web"',
        span=at(3, 1, 13),
        label="did you mean `spawn_method`?",
        help="remove it or correct it",
        docs="apps.spawn_method",
    )
    assert render([unknown], document_of(TEXT), color=False, width=80) == (
        'error[E204]: unknown key `spwan_method` in app "web"\n'
        " --> passenger.toml:3:1\n"
        "  |\n"
        '2 | app_root = "/srv/web"\n'
        '3 | spwan_method = "smart"\n'
        "  | ^^^^^^^^^^^^ did you mean `spawn_method`?\n"
        "  = help: remove it or correct it\n"
        "  = docs: configuration reference, apps.spawn_method\n"
        "1 error, 0 warnings\n"
    )


def test_other_places_follow_with_their_own_lines() -> None:
    found = Diagnostic(code="E301", message="m", span=at(3, 1, 13), related=((at(1, 1, 11), "first here"),))
    text = render([found], document_of(TEXT), color=False, width=80)
    assert " ::: passenger.toml:1:1\n  |\n1 | [apps.web]\n  | ---------- first here\n" in text


def test_the_order_is_no_place_first_then_files_then_lines() -> None:
    found = [
        Diagnostic(code="E3", message="m", span=at(3, 1, 2)),
        Diagnostic(code="E4", message="m", span=at(1, 1, 2, file="conf.d/a.toml")),
        Diagnostic(code="W2", message="m", span=at(1, 1, 2), severity="warning"),
        Diagnostic(code="E1", message="m"),
    ]
    text = render(found, document_of(TEXT), color=False, width=80)
    assert re.findall(r"^(?:error|warning)\[(..)\]", text, re.MULTILINE) == ["E1", "W2", "E3", "E4"]
    assert text.endswith("\n3 errors, 1 warning\n")


def test_a_long_list_is_cut_and_counted() -> None:
    found = [Diagnostic(code="E2", message=f"mistake {number}") for number in range(SHOWN_MAX + 5)]
    text = render(found, None, color=False, width=80)
    assert (text.count("error[E2]"), "... and 5 more\n25 errors, 0 warnings\n" in text) == (SHOWN_MAX, True)


def test_exactly_the_limit_is_not_cut() -> None:
    found = [Diagnostic(code="E2", message="m") for _ in range(SHOWN_MAX)]
    assert "more" not in render(found, None, color=False, width=80)


def test_nothing_found_is_two_zeros() -> None:
    assert render([], None, color=True, width=80) == "0 errors, 0 warnings\n"


def test_a_file_that_is_no_document_is_shown_from_the_excerpt() -> None:
    _, problems = read(None, text="a = 1\nb = x\n", environ={}, cwd="/")
    text = render(problems, None, color=False, width=80)
    assert "1 | a = 1\n2 | b = x\n  |     ^ a string needs quotes\n" in text


def test_a_place_whose_text_nobody_has_still_has_its_label() -> None:
    found = Diagnostic(code="E2", message="m", span=at(7, 3, 5, file="gone.toml"), label="look here")
    assert "--> gone.toml:7:3\n  = note: look here\n" in render([found], None, color=False, width=80)


def caret_line(line: str, start: int, end: int, *, width: int = 80) -> tuple[str, str]:
    found = Diagnostic(code="E2", message="m", span=at(1, start, end))
    shown = render([found], document_of(line + "\n"), color=False, width=width).split("\n")
    return shown[3].removeprefix("1 | "), shown[4].removeprefix("  | ")


def test_tabs_are_spaces_up_to_the_next_stop() -> None:
    assert caret_line("\ta\t= 'x'", 4, 5) == ("    a   = 'x'", "        ^")


def test_wide_and_combining_characters_keep_the_caret_in_place() -> None:
    assert caret_line("'日本' = 'e\u0301' # x", 8, 12) == ("'日本' = 'e\u0301' # x", "         ^^^")


def test_control_and_direction_characters_are_made_visible() -> None:
    line, marks = caret_line("a = '\u2066x'", 5, 9)
    assert (line, marks) == ("a = '\\u2066x'", "    ^^^^^^^^^")
    found = Diagnostic(code="E2", message="\x1b[31mred\n", label="\x07", help="\u202e", span=at(1, 1, 2))
    text = render([found], document_of("a = 1 # \u202e\u009b31m"), color=False, width=80)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("char", ["\u200b", "\u00a0", "\ufeff", "\u200e"])
def test_characters_that_look_like_nothing_are_made_visible(char: str) -> None:
    assert caret_line(f"a = '{char}'", 6, 7) == (f"a = '\\u{ord(char):04x}'", "     ^^^^^^")


def test_a_file_name_that_is_no_text_can_be_written() -> None:
    found = Diagnostic(code="E1", message="\udcff", span=at(1, 1, 2, file="\udcff.toml"))
    assert render([found], None, color=False, width=80).encode()


def test_a_place_over_several_lines_is_marked_to_the_end_of_the_first() -> None:
    found = Diagnostic(code="E2", message="m", span=Span("passenger.toml", 1, 5, 3, 2))
    assert "1 | a = [1,\n  |     ^^^\n" in render([found], document_of("a = [1,\n2,\n]\n"), color=False, width=80)


def test_a_mark_behind_the_end_of_a_line_is_shown_there() -> None:
    assert caret_line("a = 1", 6, 7) == ("a = 1", "     ^")


def test_a_long_line_is_cut_around_the_caret() -> None:
    line, marks = caret_line(f"a = '{'x' * 300}' # {'y' * 300}", 307, 308, width=60)
    assert (line[0], line[-1], cells(line) <= 56) == ("…", "…", True)
    assert line[len(marks) - 1] == " "


def test_a_label_that_does_not_fit_stands_below() -> None:
    found = Diagnostic(code="E2", message="m", span=at(1, 1, 2), label="word " * 20)
    text = render([found], document_of("a = 1"), color=False, width=60)
    assert "  | ^\n  | word word" in text
    assert max(map(len, text.splitlines())) <= 60


def test_help_is_wrapped_at_the_width() -> None:
    found = Diagnostic(code="E2", message="m", help="word " * 40)
    lines = render([found], None, color=False, width=50).splitlines()
    assert len(lines) == 7
    assert max(map(len, lines)) <= 50


def test_colour_only_adds_escapes() -> None:
    found = Diagnostic(
        code="E2", message="m", span=at(1, 1, 2), label="l", help="h", docs="d", related=((at(2, 1, 2), "r"),)
    )
    plain = render([found], document_of(TEXT), color=False, width=80)
    coloured = render([found], document_of(TEXT), color=True, width=80)
    assert "\x1b" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize("width", [0, -5, 1])
def test_a_terminal_without_a_width_gets_a_readable_report(width: int) -> None:
    found = Diagnostic(code="E2", message="m", span=at(1, 1, 2), help="word " * 10)
    assert "= help: word word" in render([found], document_of("a = 1"), color=False, width=width)


@given(
    st.text(st.characters(exclude_characters="\n"), max_size=120),
    st.integers(1, 130),
    st.integers(0, 130),
    st.integers(0, 100),
)
def test_a_marked_line_fits_and_its_mark_stands_in_it(line: str, start: int, length: int, width: int) -> None:
    shown = marked_line(line, start, start + length, width)
    room = max(width, 20)
    assert cells(shown.text) <= room
    assert 0 <= shown.mark_start <= cells(shown.text)
    assert shown.mark_width >= 1
    assert shown.mark_start + shown.mark_width <= cells(shown.text) + 1
    assert shown.text.isprintable() or not re.search("[\x00-\x1f\x7f-\x9f]", shown.text)
