"""`passenger config show`: the configuration in effect."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from passenger.cli.configuration import Valid, accepted, find_file, judge
from passenger.cli.effective import effective, leaves, origin_of
from passenger.cli.options import config_option, examples, format_option, set_option
from passenger.cli.resolution import quoted
from passenger.errors import EXIT_OK
from passenger.log import printable


@click.command(
    epilog=examples("passenger config show", "passenger config show --origin", "passenger config show --format json")
)
@config_option
@set_option
@format_option("toml", "json")
@click.option("--origin", is_flag=True, help="Say for every value where it comes from.")
def show(*, config_file: str | None, sets: tuple[str, ...], form: str, origin: bool) -> int:
    """Show the configuration in effect: files, overrides and defaults together. Secrets are not shown, nor read."""
    cwd = str(Path.cwd())
    valid = accepted(judge(find_file(config_file, cwd=cwd), cwd=cwd, flags=sets, environ=os.environ, host=None))
    data = effective(valid.config, valid.document)
    if form == "json":
        print(json.dumps(_with_origins(data, valid) if origin else data, indent=2))
    elif origin:
        print("\n".join(_origin_lines(data, valid)))
    else:
        import tomli_w

        print(tomli_w.dumps(data), end="")
    return EXIT_OK


def _with_origins(data: dict[str, Any], valid: Valid) -> dict[str, Any]:
    return {
        ".".join(map(quoted, map(str, path))): {"value": value, "origin": str(origin_of(path, valid.document))}
        for path, value in leaves(data)
    }


def _origin_lines(data: dict[str, Any], valid: Valid) -> list[str]:
    """`key = value  # origin`, the origins in one column."""
    shown = [
        (f"{'.'.join(map(quoted, map(str, path)))} = {_inline(value)}", str(origin_of(path, valid.document)))
        for path, value in leaves(data)
    ]
    width = min(60, max((len(left) for left, _ in shown), default=0))
    return [printable(f"{left:<{width}}  # {origin}") for left, origin in shown]


def _inline(value: Any) -> str:
    """A value as one line of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_inline(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
