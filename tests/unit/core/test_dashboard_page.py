"""The dashboard as a document: readable in both themes, loading nothing, and with a policy that fits it."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import product

import pytest

from passenger.core.dashboard.page import page
from passenger.wire.http1 import END

HEAD, _, BODY = page().partition(END)
TEXT = BODY.decode()
STYLE = TEXT.partition("<style>")[2].partition("</style>")[0]
SCRIPT = TEXT.partition("<script>")[2].partition("</script>")[0]
LIGHT, DARK = (
    dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", part)) for part in STYLE.split("@media (prefers-color", 1)
)
WORDS = ("text", "quiet", "link", "good", "warn", "bad", "one", "two", "three")


def luminance(colour: str) -> float:
    """As WCAG 2 has it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_what_the_formula_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_can_be_read(theme: dict[str, str]) -> None:
    """4.5 to 1 for each colour of text and lines on each ground, 3 to 1 for edges of what can be used."""
    for word, ground in product(WORDS, ("ground", "card")):
        assert contrast(theme[word], theme[ground]) >= 4.5, (word, ground)
    assert contrast(theme["line"], theme["ground"]) >= 3 or contrast(theme["line"], theme["card"]) >= 3


def test_no_colour_is_left_out_of_the_check() -> None:
    """Both themes have the same colours; text and lines have no other ones."""
    assert LIGHT.keys() == DARK.keys() == {*WORDS, "ground", "card", "line", "grid"}
    used = re.findall(r"(?<![-a-z])(?:color|stroke|background|fill): ([^;]+);", STYLE)
    assert {word for word in used if not word.startswith("var(--")} <= {"none"}
    assert set(re.findall(r"(?<![-a-z])(?:color|stroke): var\(--([a-z]+)\)", STYLE)) <= set(WORDS)


def test_the_policy_lets_this_style_and_this_script_run_and_nothing_else() -> None:
    lines = HEAD.decode().split("\r\n")
    (policy,) = [line.partition(": ")[2] for line in lines if line.startswith("Content-Security-Policy: ")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digests = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for name, text in
               (("style-src", STYLE), ("script-src", SCRIPT))}  # fmt: skip
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    for name, digest in digests.items():
        assert rules[name] == f"'sha256-{digest}'"
    assert "unsafe" not in policy


def test_nothing_is_fetched_and_nothing_becomes_markup() -> None:
    """Neither a foreign address (the name of SVG's elements is none), nor a way from text to elements."""
    assert set(re.findall(r"https?://[^\"' ]+", TEXT)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:img|iframe|object|embed)|\ssrc=", TEXT)
    assert re.findall(r'<link [^>]*href="([^"]*)"', TEXT) == ["data:,"]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|\son[a-z]+=", TEXT
    )
