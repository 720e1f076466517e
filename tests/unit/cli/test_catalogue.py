"""The table of commands and the pages made from it."""

from __future__ import annotations

import importlib
import re

import click
import pytest
from click.testing import CliRunner

from passenger.cli.catalogue import GROUPS, PLAIN, help_text

TARGETS = sorted({target for group in GROUPS.values() for target, _ in group.values() if target})
VISIBLE = sorted({target for group in GROUPS.values() for target, summary in group.values() if target and summary})


@pytest.mark.parametrize("target", TARGETS)
def test_target_exists_and_is_a_command(target: str) -> None:
    """A name in the table that leads nowhere would only fail when a user types it."""
    module, name = target.split(":")
    command = getattr(importlib.import_module(module), name)
    assert callable(command) if target in PLAIN else isinstance(command, click.Command)


@pytest.mark.parametrize("target", [target for target in VISIBLE if target not in PLAIN])
def test_help_has_an_example(target: str) -> None:
    """Every page ends with something to copy."""
    module, name = target.split(":")
    result = CliRunner().invoke(getattr(importlib.import_module(module), name), ["--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output
    assert re.search(r"^  .*passenger(-config)? ", result.output, re.MULTILINE)


def test_health_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Also the command that does without click."""
    from passenger.cli.health import health

    with pytest.raises(SystemExit) as ended:
        health(["--help"])
    assert ended.value.code == 0
    assert "passenger health --live" in capsys.readouterr().out


def test_pages_list_what_is_visible_and_hide_the_rest() -> None:
    """Commands without a summary are for programs."""
    page = help_text("")
    for name, (_, summary) in GROUPS[""].items():
        assert (f"  {name} " in page) == bool(summary)
    assert "schema" in help_text("config")


def test_lines_fit_a_terminal() -> None:
    """100 columns; most terminals are wider, none wraps the table badly."""
    for group in GROUPS:
        assert max(map(len, help_text(group).splitlines())) <= 100
