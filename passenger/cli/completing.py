"""What could come next on a command line: the answer to the scripts of `passenger completion`.

Rules.
1. Whatever goes wrong, the answer is "nothing": a shell that waits for a completion shows no error.
2. Names of instances and applications come from the registry, without asking anybody.
3. Nothing is said where a file name is wanted: the shell knows files better.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from passenger.cli.catalogue import GROUPS, PLAIN, PROGRAMS, group_of_program

if TYPE_CHECKING:
    import click

SHELLS: Final = ("bash", "zsh", "fish")
APP_ARGUMENTS: Final = ("[NAME|PATH]...", "APP", "[APP]...", "APP...")
INSTANCE_ARGUMENTS: Final = ("[NAME]", "NAME")


def candidates(program: str, words: Sequence[str]) -> list[str]:
    """What the last of `words` could become."""
    words = _joined(words)
    *before, last = words or [""]
    if program in PROGRAMS:
        return _matching(_of_command(PROGRAMS[program], before, last, instances_as_arguments=True), last)
    group = group_of_program(program)
    while before and before[0] in GROUPS[group] and not GROUPS[group][before[0]][0]:
        group, before = before[0], before[1:]
    if not before:
        return _matching([name for name, (_, summary) in GROUPS[group].items() if summary], last)
    target = GROUPS[group].get(before[0], ("", ""))[0]
    return _matching(_of_command(target, before[1:], last) if target else [], last)


def _joined(words: Sequence[str]) -> list[str]:
    """bash hands over `--show=po` as three words."""
    found: list[str] = []
    for word in words:
        if found and (word == "=" or found[-1].endswith("=")) and found[-1].startswith("--"):
            found[-1] += word
        else:
            found.append(word)
    return found


def _of_command(
    target: str, before: Sequence[str], last: str, *, instances_as_arguments: bool = False
) -> Iterable[str]:
    if target in PLAIN:
        return _plain(before, last)
    module, name = target.split(":")
    command: click.Command = getattr(importlib.import_module(module), name)
    options = {spelling: option for option in command.params for spelling in (*option.opts, *option.secondary_opts)}
    if last.startswith("--") and "=" in last:
        option = options.get(last.partition("=")[0])
        return [f"{last.partition('=')[0]}={value}" for value in _values(option)] if option else []
    if before and (option := options.get(before[-1])) is not None and _takes_value(option):
        return _values(option)
    if last.startswith("-"):
        return [spelling for spelling in options if spelling.startswith("--")] + ["--help"]
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    for argument in arguments:
        shown = argument.make_metavar(_context(command))
        if shown in APP_ARGUMENTS:
            return _apps()
        if instances_as_arguments and shown in INSTANCE_ARGUMENTS:
            return _instances()
        if values := list(_values(argument)):
            return values
    return []


def _plain(before: Sequence[str], last: str) -> Iterable[str]:
    if before and before[-1] in {"--instance", "-i"}:
        return _instances()
    return (
        ["--live", "--ready", "--startup", "--instance", "--registry", "--timeout", "--help"] if last[:1] == "-" else []
    )


def _context(command: click.Command) -> click.Context:
    import click

    return click.Context(command)


def _takes_value(option: click.Parameter) -> bool:
    return not getattr(option, "is_flag", False) and option.param_type_name == "option"


def _values(parameter: click.Parameter) -> Iterable[str]:
    import click

    if parameter.name in {"instance", "instances"}:
        return _instances()
    if parameter.name in {"app", "app_name"}:
        return _apps()
    return parameter.type.choices if isinstance(parameter.type, click.Choice) else ()


def _instances() -> list[str]:
    from passenger.cli.running import running_instances

    return sorted({record.name for record in running_instances(None)})


def _apps() -> list[str]:
    """Of the running instances."""
    from passenger.cli.running import running_instances

    return sorted({app for record in running_instances(None) for app in record.urls})


def _matching(found: Iterable[str], last: str) -> list[str]:
    return [word for word in found if word.startswith(last) and word.isprintable() and " " not in word]
