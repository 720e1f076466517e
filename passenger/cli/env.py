"""`passenger env`: the environment an application gets, found by going the way of a spawn up to the loader.

Rules.
1. A secret is shown as `<secret>` unless `--reveal` asks for it; a file that holds nothing else is not even read. Env
   files are read for the names of what they set.
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
from passenger.cli.effective import SECRET, effective, origin_of
from passenger.cli.options import config_option, examples, format_option, set_option
from passenger.cli.spawning import spawn_context
from passenger.config.model import App, EnvValue, of_instance
from passenger.errors import EXIT_OK
from passenger.log import printable

if TYPE_CHECKING:
    from passenger.spawn.environment_report import ExplainedVariable


@click.command(
    epilog=examples(
        "passenger env --app blog",
        "passenger env --app blog --explain",
        "passenger env --app blog --reveal --format json",
    )
)
@click.option("--app", "app_name", metavar="NAME", help="Application; needed only when there are several.")
@config_option
@set_option
@click.option("--explain", is_flag=True, help="Say for every variable where it comes from.")
@click.option("--reveal", is_flag=True, help="Show secrets too.")
@format_option("text", "json")
def env(
    *,
    app_name: str | None,
    config_file: str | None,
    sets: tuple[str, ...],
    explain: bool,
    reveal: bool,
    form: str,
) -> int:
    """Show the environment that the processes of an application get.

    Its user is switched to and its login shell is run as for a real start, when the configuration says so; the
    application itself is not started.
    """
    from passenger.spawn.environment_report import explain as report

    cwd = str(Path.cwd())
    loaded = judge(
        find_file(config_file, cwd=cwd),
        cwd=cwd,
        flags=sets,
        environ=os.environ,
        host=None,
        read_secrets=reveal,
        read_env_files=True,
    )
    valid = accepted(loaded)
    name = chosen_app(app_name, list(valid.config.apps))
    app = valid.config.apps[name] if reveal else with_unread_secrets(name, valid)
    context = spawn_context(of_instance(valid.config, str(app.instance)))
    found = [located(variable, name, valid) for variable in report(name, app, context)]
    print("\n".join(_lines(found, form=form, explain=explain, reveal=reveal)))
    return EXIT_OK


def located(variable: ExplainedVariable, name: str, valid: Valid) -> ExplainedVariable:
    """The variable with its place in the configuration, if it comes from there."""
    if variable.origin != "configuration":
        return variable
    return replace(variable, where=str(origin_of(("apps", name, "env", variable.name), valid.document)))


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


def _lines(variables: Sequence[ExplainedVariable], *, form: str, explain: bool, reveal: bool) -> list[str]:
    shown = {found.name: SECRET if found.secret and not reveal else found.value for found in variables}
    if form == "json":
        explained = {
            found.name: {"value": shown[found.name], "origin": found.origin, "where": found.where or None}
            for found in variables
        }
        return [json.dumps(explained if explain else shown, indent=2)]
    if not explain:
        return [printable(f"{name}={value}") for name, value in shown.items()]
    origins = {found.name: f"{found.origin} {found.where}".rstrip() for found in variables}
    width = max(map(len, origins.values()), default=0)
    return [printable(f"{origins[name]:<{width}}  {name}={value}") for name, value in shown.items()]
