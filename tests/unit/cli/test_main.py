"""Dispatch, and the way every ending becomes an exit status."""

from __future__ import annotations

import sys

import pytest

from passenger.cli import main
from passenger.errors import HostError, InstanceSelectionError, InvalidConfigurationError, PassengerError


def failing(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PassengerError("no"), 1),
        (HostError("no"), 1),
        (InstanceSelectionError("no"), 3),
        (InvalidConfigurationError("report"), 78),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_status(error: BaseException, status: int) -> None:
    """Each kind of error has its own status."""
    assert main.guarded(lambda: failing(error)) == status


def test_error_and_hint_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for what happened, one for what to do."""
    main.guarded(lambda: failing(HostError("port 80 is in use", hint="stop apache2")))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: port 80 is in use\nhint: stop apache2\n"


def test_caret_report_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """It is a finished text and needs no second `error:`."""
    main.guarded(lambda: failing(InvalidConfigurationError("error[E204]: unknown key\n1 error, 0 warnings\n")))
    assert capsys.readouterr().err == "error[E204]: unknown key\n1 error, 0 warnings\n"


def test_unexpected_errors_are_not_hidden() -> None:
    """A bug shows its traceback."""
    with pytest.raises(ZeroDivisionError):
        main.guarded(lambda: failing(ZeroDivisionError()))


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """All the ways people ask for it."""
    assert main.dispatch(arguments) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["help", "version"], "passenger version"),
        (["help", "config"], "passenger config"),
        (["config", "help", "show"], "passenger config show"),
    ],
)
def test_help_of_a_command(arguments: list[str], program: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`passenger help X` is `passenger X --help`."""
    assert main.dispatch(arguments) == 0
    assert f"Usage: {program} " in capsys.readouterr().out


def test_no_command_is_a_usage_error() -> None:
    """The page is shown, but a script that forgot the command must notice."""
    assert main.dispatch([]) == 2
    assert main.dispatch(["config"]) == 2


def test_group_has_its_own_page(capsys: pytest.CaptureFixture[str]) -> None:
    """`passenger config --help` lists show, render, schema and keys."""
    assert main.dispatch(["config", "--help"]) == 0
    assert "passenger config COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [(["statsu"], "status"), (["config", "shwo"], "show"), (["validat", "x.toml"], "validate")],
)
def test_unknown_command_is_guessed(arguments: list[str], guess: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and one suggestion."""
    assert main.dispatch(arguments) == 2
    assert f"Did you mean `{guess}`?" in capsys.readouterr().err


def test_hidden_commands_are_not_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """`resolve-plan` is for the watchdog."""
    assert main.dispatch(["resolve-pla"]) == 2
    assert "resolve-plan" not in capsys.readouterr().err


def test_usage_error_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """click's own words, exit status 2."""
    assert main.dispatch(["version", "--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


def test_version_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """`passenger --version` is `passenger version`."""
    assert main.dispatch(["--version"]) == 0
    assert capsys.readouterr().out.startswith("passenger ")


def test_help_imports_no_click(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of the page: checked here by what it may import."""
    monkeypatch.setitem(sys.modules, "click", None)
    assert main.dispatch(["--help"]) == 0
