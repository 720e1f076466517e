"""The lines of an env file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.config.env_text import Mistake, Variable, parse


def values(text: str) -> dict[str, str]:
    variables, mistakes = parse(text)
    assert mistakes == []
    return {variable.name: variable.value for variable in variables}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"),
        ("A=", ""),
        ("A=  ", ""),
        ("A= # nothing", ""),
        ("A=#x", ""),
        ("  export\tA = 1  ", "1"),
        ("A=1 # a comment", "1"),
        ("A=1#no comment", "1#no comment"),
        ("A=two words", "two words"),
        ("A=a=b", "a=b"),
        ("A=$HOME ${X} `y`", "$HOME ${X} `y`"),
        ("A=it's", "it's"),
        ("A='$x \\n \"q\"'", '$x \\n "q"'),
        ('A="a\\nb\\t\\"c\\" \\\\ \\$d \\x"', 'a\nb\t"c" \\ $d \\x'),
        ('A="one\ntwo" # behind', "one\ntwo"),
        ("A='one\r\ntwo'\r\n", "one\ntwo"),
        ('A="a\\\nb"', "ab"),
        ('A=" # no comment "', " # no comment "),
        ("A=ä€", "ä€"),
    ],
)
def test_a_value(text: str, value: str) -> None:
    """Plain, quoted, over several lines; nothing is replaced."""
    assert values(text) == {"A": value}


def test_lines_are_counted() -> None:
    """Also behind values of several lines; of a name that comes twice the last one counts."""
    variables, mistakes = parse('# head\n\nA=1\r\nB="x\n\ny"\nC=3\nA=2')
    assert mistakes == []
    assert variables == [
        Variable("A", "1", 3),
        Variable("B", "x\n\ny", 4),
        Variable("C", "3", 7),
        Variable("A", "2", 8),
    ]


@pytest.mark.parametrize(
    ("text", "mistakes", "good"),
    [
        ("secret\nA=1", [Mistake(1, "no NAME=VALUE")], ["A"]),
        ("A=1\n1A=2\n=3\na-b=4", [Mistake(line, "no NAME=VALUE") for line in (2, 3, 4)], ["A"]),
        ("A='x' y\nB=1", [Mistake(1, "text behind the closing quote")], ["B"]),
        ('A=1\nB="x\nC=2', [Mistake(2, 'a quote " without its end')], ["A"]),
        ("A='\nB=1", [Mistake(1, "a quote ' without its end")], []),
        ("A=a\0b\nB=1", [Mistake(1, "a NUL character")], ["B"]),
        ("export A", [Mistake(1, "no NAME=VALUE")], []),
    ],
)
def test_mistakes(text: str, mistakes: list[Mistake], good: list[str]) -> None:
    """Each is told by its line, without what stands there; the other lines are read all the same."""
    found = parse(text)
    assert found[1] == mistakes
    assert [variable.name for variable in found[0]] == good


@given(st.text(max_size=200))
def test_any_text_comes_to_an_end(text: str) -> None:
    """Whatever it holds, every line number lies inside it."""
    variables, mistakes = parse(text)
    lines = [variable.line for variable in variables] + [mistake.line for mistake in mistakes]
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=50))
def test_quoted_values_survive(value: str) -> None:
    """Double quotes can carry every text."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert values(f'A="{escaped}"\n') == {"A": value}
