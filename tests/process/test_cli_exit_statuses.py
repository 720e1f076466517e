"""Every command keeps to the same exit statuses: 0 done, 1 failed, 2 usage, 3 no such instance, 78 invalid file.

The commands are those of the catalogue: a new one is held to the table by being there.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from passenger.cli.catalogue import GROUPS, PLAIN, TOOL
from passenger.cli.main import dispatch, guarded
from tests.support.fake_instance import FakeInstance, fake_instances

COMMANDS = {
    (group, name): target
    for group, commands in GROUPS.items()
    for name, (target, summary) in commands.items()
    if target and summary
}
LISTS = {("", "memory-stats")}
"""Commands that take all running instances when none is named."""
NAMES_ONE = {("", "install-systemd")}
"""Commands that write down the name of a file, and do not read it. This one must never be run here: it changes the host."""


def click_command(target: str) -> click.Command:
    module, name = target.split(":")
    command: click.Command = getattr(importlib.import_module(module), name)
    return command


def option_names(target: str) -> set[str]:
    if target == "passenger.cli.container:container":
        return set()  # it takes what follows for words of `start`, or of another command
    if target in PLAIN:
        return {"--instance", "--registry"}
    return {name for parameter in click_command(target).params for name in parameter.opts}


def needed(target: str) -> list[str]:
    """Arguments and options without which the command is a mistake of its own."""
    words = []
    for parameter in [] if target in PLAIN else click_command(target).params:
        if parameter.required:
            kind = parameter.type
            value = kind.choices[0] if isinstance(kind, click.Choice) else "4711" if "int" in kind.name else "blog"
            words += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return words


ABOUT_AN_INSTANCE = sorted(
    key for key, target in COMMANDS.items() if {"--instance", "--registry"} <= option_names(target)
)
READ_A_FILE = sorted(
    key
    for key, target in COMMANDS.items()
    if target not in PLAIN
    and key not in NAMES_ONE
    and key not in ABOUT_AN_INSTANCE  # without one there is nothing to compare a file with
    and (
        "--config" in option_names(target) or {parameter.name for parameter in click_command(target).params} & {"file"}
    )
)


def run(group: str, name: str, *arguments: str) -> int:
    """In this process, as the program would run it."""
    try:
        return guarded(lambda: dispatch([name, *arguments], group))
    except SystemExit as ended:  # argparse, for the command that does without click
        return int(ended.code or 0)


@pytest.fixture(scope="module")
def two() -> Iterator[list[FakeInstance]]:
    """Two running instances in one registry."""
    with fake_instances("blue", "green", answers={}) as instances:
        yield instances


def test_the_table_is_about_something() -> None:
    """The two lists below are found, not written down: they must not be empty by accident."""
    assert {("", "status"), ("", "stop"), ("", "logs"), (TOOL, "restart-app")} <= set(ABOUT_AN_INSTANCE)
    assert {("", "validate"), ("", "start"), ("", "doctor"), ("config", "show")} <= set(READ_A_FILE)


@pytest.mark.parametrize(("group", "name"), sorted(COMMANDS))
def test_help_is_0_and_a_wrong_option_is_2(group: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And the way to the help page is shown."""
    assert run(group, name, "--help") == 0
    assert "Usage:" in capsys.readouterr().out or name == "health"
    assert run(group, name, "--no-such-option") == 2
    assert "--no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize(("group", "name"), ABOUT_AN_INSTANCE)
def test_nothing_runs_is_3(group: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the next step."""
    assert run(group, name, "--registry", str(tmp_path), *needed(COMMANDS[group, name])) == 3
    assert "no instance is running" in capsys.readouterr().err


@pytest.mark.parametrize(("group", "name"), [key for key in ABOUT_AN_INSTANCE if key not in LISTS])
def test_several_and_none_chosen_is_3(
    group: str, name: str, two: list[FakeInstance], capsys: pytest.CaptureFixture[str]
) -> None:
    """They are listed, and nobody was asked anything."""
    before = [len(instance.asked) for instance in two]
    assert run(group, name, "--registry", str(two[0].registry), *needed(COMMANDS[group, name])) == 3
    said = capsys.readouterr().err
    assert "blue" in said
    assert "green" in said
    assert [len(instance.asked) for instance in two] == before


@pytest.mark.parametrize(("group", "name"), ABOUT_AN_INSTANCE)
def test_an_unknown_name_is_3(
    group: str, name: str, two: list[FakeInstance], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for commands that would take all."""
    arguments = ["--registry", str(two[0].registry), "--instance", "red", *needed(COMMANDS[group, name])]
    assert run(group, name, *arguments) == 3
    assert "red" in capsys.readouterr().err


@pytest.mark.parametrize(("group", "name"), [key for key in ABOUT_AN_INSTANCE if key not in LISTS])
def test_an_instance_that_refuses_is_1(
    group: str, name: str, two: list[FakeInstance], capsys: pytest.CaptureFixture[str]
) -> None:
    """The stand-in knows no verb at all."""
    arguments = ["--registry", str(two[0].registry), "--instance", "blue", *needed(COMMANDS[group, name])]
    assert run(group, name, *arguments) == 1
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(("group", "name"), READ_A_FILE)
def test_an_invalid_file_is_78(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the report of the mistake."""
    monkeypatch.chdir(tmp_path)
    Path("passenger.toml").write_text("config_version = 1\n[apps.blog]\napp_rot = '/srv'\n")
    assert run(group, name, *needed(COMMANDS[group, name])) == 78
    said = capsys.readouterr()
    assert "app_rot" in said.out + said.err
