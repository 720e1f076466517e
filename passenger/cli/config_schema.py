"""`passenger config schema`: the JSON schema of passenger.toml."""

from __future__ import annotations

import click

from passenger.cli.options import examples
from passenger.errors import EXIT_OK, HostError
from passenger.resources import folder

SCHEMA_FILE = "passenger.schema.json"


@click.command(epilog=examples("passenger config schema > passenger.schema.json"))
def schema() -> int:
    """Print the JSON schema (draft-07) of passenger.toml.

    An editor that knows TOML schemas finds it by the first line of the file: `#:schema ./passenger.schema.json`.
    """
    try:
        text = (folder("schema") / SCHEMA_FILE).read_text()
    except OSError as error:
        raise HostError(f"the schema cannot be read: {error}", hint="reinstall the package") from error
    print(text, end="")
    return EXIT_OK
