"""Options that several commands share, so that they are spelt and explained once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """The epilogue of a help page: `\\b` keeps click from joining the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def format_option(*choices: str) -> Callable[[F], F]:
    """`--format`, the first choice being the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="Form of the output.",
    )


config_option = click.option(
    "--config",
    "-c",
    "config_file",
    metavar="FILE",
    help="Configuration file.  [default: ./passenger.toml, /etc/passenger/passenger.toml]",
)

set_option = click.option(
    "--set",
    "sets",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override one value, such as apps.blog.min_instances=2. Repeatable. Not for secrets: every user sees it.",
)

instance_option = click.option(
    "--instance", "-i", "instance", metavar="NAME", help="Instance; needed only when several are running."
)

registry_option = click.option(
    "--registry",
    metavar="DIR",
    help="Folder that holds the instance directories, when the configuration sets `registry_dir`.",
)
