"""`passenger env`: the environment an application gets, found by going the way of a spawn up to the loader.

Rules.
1. A secret of the configuration is shown as `<secret>`; its file is not even read.
2. What is inherited is this command's environment; a running instance has that of its own start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from passenger.cli.configuration import Valid, accepted, find_file, judge
from passenger.cli.effective import SECRET, effective
from passenger.cli.options import config_option, examples, format_option, set_option
from passenger.cli.spawning import spawn_context
from passenger.config.model import App, EnvValue, of_instance
from passenger.errors import EXIT_OK
from passenger.log import printable

if TYPE_CHECKING:
    from passenger.spawn.environment_report import ExplainedVariable


@click.command(epilog=examples("passenger env --app blog", "passenger env --app blog --explain --format json"))
@click.option("--app", "app_name", metavar="NAME", help="Application; needed only when there are several.")
@config_option
@set_option
@click.option("--explain", is_flag=True, help="Say for every variable where it comes from.")
@format_option("text", "json")
def env(*, app_name: str | None, config_file: str | None, sets: tuple[str, ...], explain: bool, form: str) -> int:
    """Show the environment that the processes of an application get.

    Its user is switched to and its login shell is run as for a real start, when the configuration says so; the
    application itself is not started.
    """
    from passenger.spawn.environment_report import explain as report

    cwd = str(Path.cwd())
    valid = accepted(judge(find_file(config_file, cwd=cwd), cwd=cwd, flags=sets, environ=os.environ, host=None))
    name = chosen_app(app_name, list(valid.config.apps))
    app = with_unread_secrets(name, valid)
    context = spawn_context(of_instance(valid.config, str(app.instance)))
    print("\n".join(_lines(report(name, app, context), form=form, explain=explain)))
    return EXIT_OK


def chosen_app(wanted: str | None, apps: Sequence[str]) -> str:
    """The application that is meant. Raises UsageError."""
    listing = f"the configuration has {', '.join(apps) or 'no application'}"
    if wanted is None:
        if len(apps) == 1:
            return apps[0]
        raise click.UsageError(f"choose an application with --app: {listing}")
    if wanted not in apps:
        raise click.UsageError(f"there is no application {wanted!r}: {listing}")
    return wanted


def with_unread_secrets(name: str, valid: Valid) -> App:
    """The application with a place-holder for every secret variable."""
    app = valid.config.apps[name]
    shown = effective(valid.config, valid.document)["apps"][name].get("env", {})
    secrets = {variable: EnvValue(SECRET, secret=True) for variable, value in shown.items() if value == SECRET}
    return replace(app, env=MappingProxyType({**app.env, **secrets}))


def _lines(variables: Sequence[ExplainedVariable], *, form: str, explain: bool) -> list[str]:
    shown = [(found.name, SECRET if found.secret else found.value, found.origin) for found in variables]
    if form == "json":
        if not explain:
            return [json.dumps({name: value for name, value, _ in shown}, indent=2)]
        return [json.dumps({name: {"value": value, "origin": origin} for name, value, origin in shown}, indent=2)]
    if not explain:
        return [printable(f"{name}={value}") for name, value, _ in shown]
    width = max((len(origin) for _, _, origin in shown), default=0)
    return [printable(f"{origin:<{width}}  {name}={value}") for name, value, origin in shown]
