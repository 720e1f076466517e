"""`passenger version`."""

from __future__ import annotations

import json
import platform
import sys

import click

from passenger import __version__
from passenger.cli.options import examples, format_option


@click.command(epilog=examples("passenger version --format json"))
@format_option("text", "json")
def version(form: str) -> int:
    """Show the version of Passenger and of the Python that runs it."""
    if form == "json":
        facts = {"passenger": __version__, "python": platform.python_version(), "executable": sys.executable}
        print(json.dumps(facts))
    else:
        print(f"passenger {__version__} (Python {platform.python_version()})")
    return 0
