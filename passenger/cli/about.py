"""`passenger-config about X`: one fact about this installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import click

from passenger import __version__, resources
from passenger.cli.options import examples
from passenger.config.paths import registry_dir
from passenger.errors import EXIT_OK


def _nginx() -> str:
    from passenger.webserver.binary import find

    return find(None, search_path=os.environ.get("PATH", os.defpath)).path


FACTS: Mapping[str, tuple[str, Callable[[], str]]] = MappingProxyType({
    "root": ("Where the package lies.", lambda: str(Path(__file__).resolve().parents[1])),
    "version": ("The version.", lambda: __version__),
    "python-command": ("The Python that runs Passenger.", lambda: sys.executable),
    "helper-scripts": ("The folder of the loaders.", lambda: str(resources.folder("helper_scripts"))),
    "schema": (
        "The JSON schema of passenger.toml.",
        lambda: str(resources.folder("schema") / "passenger.schema.json"),
    ),
    "nginx": ("The nginx that an instance would use.", _nginx),
    "registry": (
        "The folder of this user's instance directories.",
        lambda: registry_dir(None, environ=os.environ, euid=os.geteuid()),
    ),
})  # fmt: skip


@click.command(
    epilog="\b\nFacts:\n"
    + "\n".join(f"  {name:<16}{meaning}" for name, (meaning, _) in FACTS.items())
    + "\n\n"
    + examples("passenger-config about root", "passenger-config about version")
)
@click.argument("fact", type=click.Choice(tuple(FACTS)))
def about(fact: str) -> int:
    """Print one fact about this installation, for scripts."""
    print(FACTS[fact][1]())
    return EXIT_OK
