"""What is shown to users as configuration is configuration: README, pages, the commented file, the example."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import tomli_w
from jsonschema.validators import Draft7Validator

from passenger.config.load import load
from passenger.config.schema import published

CHECKOUT = Path(__file__).resolve().parents[3]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE), 1)
]
FILES = [CHECKOUT / "config" / "passenger.toml", CHECKOUT / "config" / "example" / "passenger.toml"]


def test_the_first_page_shows_a_configuration() -> None:
    """The pattern finds what the tests below are about."""
    assert "README.md-1" in [block.id for block in BLOCKS]


@pytest.mark.parametrize("block", BLOCKS)
def test_block_of_a_page_is_valid(block: str) -> None:
    """Whoever copies it gets no complaint, neither from `validate` nor from an editor."""
    text = whole(block)
    assert load(None, text=text, environ={}, cwd="/", host=None).diagnostics == ()
    Draft7Validator(published()).validate(tomllib.loads(text))


def whole(block: str) -> str:
    """The block itself, or what a reader has when a block that shows a part was put into a file of the rest."""
    found = tomllib.loads(block)
    if "config_version" in found:
        return block
    apps = found.setdefault("apps", {"blog": {}})
    for app in apps.values():
        app.setdefault("app_root", "/srv/blog")
    return tomli_w.dumps({"config_version": 1, **found})


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_shipped_file_is_valid(file: Path) -> None:
    """As it is (the commented file serves nothing yet), and for editors."""
    loaded = load(str(file), environ={}, cwd="/", host=None)
    assert loaded.config is not None
    assert {item.code for item in loaded.diagnostics} <= ({"W301"} if file.parent.name == "config" else set())
    Draft7Validator(published()).validate(tomllib.loads(file.read_text()))
