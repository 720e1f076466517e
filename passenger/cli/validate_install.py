"""`passenger-config validate-install`: is everything there that the package needs?"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

import click

from passenger.cli.checks import finding_lines, worst
from passenger.cli.colour import wants_colour
from passenger.cli.installation import installation
from passenger.cli.options import examples, format_option

STATUS = {"ok": 0, "fail": 1, "warn": 2}
"""As Passenger's own."""


@click.command(epilog=examples("passenger-config validate-install", "passenger-config validate-install --format json"))
@format_option("text", "json")
@click.option("--auto", is_flag=True, hidden=True, help="Never asks anything; it never does anyway.")
def validate_install(*, form: str, auto: bool) -> int:  # noqa: ARG001 - accepted for scripts of Passenger's
    """Check this installation: its files, its libraries, nginx.

    Exit status 0: whole. 1: something is missing. 2: only warnings.
    """
    findings = list(installation())
    if form == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(finding_lines(findings, colour=wants_colour(sys.stdout, os.environ))))
    return STATUS[worst(findings)]
