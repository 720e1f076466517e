"""The serialiser: whatever a value holds, it stays one argument."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import crossplane
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passenger.errors import EXIT_INVALID_CONFIGURATION, Fault
from passenger.webserver.tree import (
    Directive,
    Expression,
    Fixed,
    UnrenderableValueError,
    block,
    directive,
    nginx_quote,
    serialize,
)

HOSTILE = st.text(
    st.one_of(
        st.sampled_from(";{}\"'$#\\ \tnrt()=~@^*/.%"), st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
    ),
    max_size=40,
).filter(lambda text: "\t" not in text)


def parsed(text: str) -> list[dict[str, Any]]:
    """The directives as an independent parser reads them."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        Path(file.name).write_text(text, encoding="utf-8")
        answer = crossplane.parse(file.name, single=True, check_ctx=False, check_args=False)
    assert answer["errors"] == []
    found: list[dict[str, Any]] = answer["config"][0]["parsed"]
    return found


def meant(argument: str) -> str:
    """What nginx makes of an argument that crossplane read: it resolves escaped backslashes (and quotes)."""
    return argument.replace("\\\\", "\\")


@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_any_text_stays_one_argument(texts: list[str]) -> None:
    """Also for a second parser, between two directives and inside a block."""
    fixed = [Fixed(text) for text in texts]
    tree = [block("outer", body=[directive("before"), Directive("name", tuple(fixed)), directive("after", "x")])]
    (outer,) = parsed(serialize(tree))
    assert [(item["directive"], [meant(arg) for arg in item["args"]]) for item in outer["block"]] == [
        ("before", []),
        ("name", texts),
        ("after", ["x"]),
    ]


@given(before=HOSTILE, after=HOSTILE)
def test_a_dollar_from_outside_is_never_rendered(before: str, after: str) -> None:
    text = f"{before}${after}"
    with pytest.raises(UnrenderableValueError, match=r"\$"):
        nginx_quote(text)


@pytest.mark.parametrize("kind", [str, Fixed, Expression])
@pytest.mark.parametrize("bad", ["a\nb", "a\0b", "\r", "\t", "\x1b[31m", "\x7f", "\udcff", "x" * 5000])
def test_what_nginx_cannot_carry_is_refused(kind: type[Any], bad: str) -> None:
    """The reader is told which value and what to do; the exit status is that of a bad configuration."""
    with pytest.raises(UnrenderableValueError) as caught:
        nginx_quote(kind(bad))
    assert caught.value.hint
    assert caught.value.fault is Fault.CONFIGURATION
    assert caught.value.exit_status == EXIT_INVALID_CONFIGURATION
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("/srv/blog", "/srv/blog"),
        ("a b", '"a b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("a;b", '"a;b"'),
        ("#", '"#"'),
        ("{}", '"{}"'),
        ("ü", '"ü"'),
    ],
)
def test_quoting(text: str, quoted: str) -> None:
    """What nginx would not read as one plain word is quoted, and only that."""
    assert nginx_quote(text) == quoted


def test_layout() -> None:
    """Headings and comments are lines of their own, blocks are indented."""
    tree = [block("server", body=[directive("listen", "80")], comment="one\ntwo"), directive("pid", Fixed("/a$b"))]
    assert serialize(tree, heading="head\n\nline") == (
        "# head\n#\n# line\n# one\n# two\nserver {\n    listen 80;\n}\npid /a$b;\n"
    )
