"""`passenger drain`: have load balancers take an instance out of their rotation, and put it back."""

from __future__ import annotations

import json

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.restart_app import GRACE
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK


@click.command(epilog=examples("passenger drain", "passenger drain off", "passenger drain --instance main"))
@click.argument("state", type=click.Choice(("on", "off")), default="on")
@instance_option
@registry_option
@format_option("text", "json")
def drain(*, state: str, instance: str | None, registry: str | None, form: str) -> int:
    """Let `/readyz` and `passenger health` fail, so that load balancers send nothing more; serve whatever comes.

    `passenger stop` follows when they have noticed, or `passenger drain off`. It outlives a crash of the core.
    """
    record = chosen_instance(instance, registry)
    what = f"the core of instance {record.name}"
    question = {"verb": "drain", "on": state == "on"}
    told = api.call(record.paths.core_api, question, timeout=GRACE, what=what)
    if form == "json":
        print(json.dumps({"instance": record.name, "drained_at": told["drained_at"]}))
    elif state == "on":
        print(f"instance {record.name} says that it is not ready; it serves what comes")
    else:
        print(f"instance {record.name} is ready again")
    return EXIT_OK
