"""`passenger validate`: every mistake at once; nothing is written, bound or started."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from passenger import __version__
from passenger.cli.colour import wants_colour
from passenger.cli.configuration import find_file, judge, report_on, validation_host
from passenger.cli.options import examples, format_option, set_option
from passenger.cli.target import KINDS, read_target
from passenger.errors import EXIT_INVALID_CONFIGURATION, EXIT_OK

if TYPE_CHECKING:
    from passenger.config.load import Loaded
    from passenger.config.ports import OwnPorts
    from passenger.config.target import Kind

STDIN = "-"


@click.command(
    epilog=examples(
        "passenger validate",
        "passenger validate /etc/passenger/passenger.toml --deny-warnings",
        "passenger validate --no-environment --format sarif passenger.toml",
        "cat passenger.toml | passenger validate -",
        "passenger validate --target container --manifest compose.yaml",
        "kubectl kustomize overlays/prod | passenger validate --target kubernetes --manifest - passenger.toml",
    )
)
@click.argument("file", metavar="[FILE|-]", required=False)
@format_option("text", "json", "sarif", "github")
@click.option("--no-environment", is_flag=True, help="Leave out the checks of this host: folders, users, ports.")
@click.option(
    "--target",
    type=click.Choice(KINDS),
    help="Check for another place than this host: what is possible there, and does it fit what the manifest says?",
)
@click.option(
    "--manifest",
    metavar="FILE",
    help="Kubernetes manifest, Compose file or systemd unit that runs it; `-` reads standard input.",
)
@click.option("--service", metavar="NAME", help="The workload, container or service of the manifest that is meant.")
@click.option("--deny-warnings", is_flag=True, help="Exit with 78 for warnings too.")
@set_option
def validate(
    *,
    file: str | None,
    form: str,
    no_environment: bool,
    target: Kind | None,
    manifest: str | None,
    service: str | None,
    deny_warnings: bool,
    sets: tuple[str, ...],
) -> int:
    """Check a configuration: syntax, keys and values, contradictions, and whether this host can run it.

    With --target kubernetes or container, which is not this host, whether that place can run it.

    FILE is ./passenger.toml, else /etc/passenger/passenger.toml, when left out; `-` reads standard input.
    Exit status 0: valid. 78: not.
    """
    if file == STDIN and manifest == STDIN:
        raise click.UsageError("standard input is either the configuration or the manifest")
    cwd = str(Path.cwd())
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if file == STDIN else None
    name = STDIN if text is not None else find_file(file, cwd=cwd)
    place, problems = read_target(target, manifest, service)
    host = None if no_environment or target in {"kubernetes", "container"} else validation_host(only_looks=True)
    own_ports = _own_ports(name, cwd) if host else None
    loaded = judge(
        name, text=text, environ=os.environ, flags=sets, cwd=cwd, host=host, own_ports=own_ports, target=place
    )
    if problems:
        loaded = replace(loaded, config=None, diagnostics=(*problems, *loaded.diagnostics))
    failed = loaded.config is None or (deny_warnings and bool(loaded.diagnostics))
    if form == "text":
        colour = wants_colour(sys.stderr, os.environ)
        if loaded.diagnostics:
            print(report_on(loaded, stream_is_colour=colour).rstrip("\n"), file=sys.stderr)
        if not failed:
            print(f"{name}: valid" if name != STDIN else "<stdin>: valid")
    else:
        print(_for_machines(form, loaded), end="")
    return EXIT_INVALID_CONFIGURATION if failed else EXIT_OK


def _own_ports(file: str, cwd: str) -> OwnPorts | None:
    if file == STDIN:
        return None
    from passenger.cli.own_ports import ports_of_file

    return ports_of_file(str(Path(cwd) / file), environ=os.environ, euid=os.geteuid())


def _for_machines(form: str, loaded: Loaded) -> str:
    from passenger.config import report_machine

    if form == "json":
        text = report_machine.to_json(loaded.diagnostics, loaded.document)
    elif form == "github":
        text = report_machine.to_github(loaded.diagnostics, loaded.document)
    else:
        from passenger.config.codes import CODES

        text = report_machine.to_sarif(loaded.diagnostics, loaded.document, version=__version__, meanings=CODES)
    return text if not text or text.endswith("\n") else text + "\n"
