"""`passenger drain`: have load balancers take an instance out of their rotation, and put it back."""

from __future__ import annotations

import json
import time

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.quiet import wait_until_quiet
from passenger.cli.restart_app import GRACE
from passenger.cli.running import chosen_instance
from passenger.cli.snapshot import core_status
from passenger.errors import EXIT_FAILED, EXIT_OK


@click.command(epilog=examples("passenger drain", "passenger drain --wait --timeout 30", "passenger drain off"))
@click.argument("state", type=click.Choice(("on", "off")), default="on")
@click.option("--wait/--no-wait", help="Wait until no request comes any more; status 1 if they go on.")
@click.option(
    "--quiet",
    type=click.FloatRange(min=0, max=3600),
    default=3.0,
    show_default=True,
    help="With --wait: seconds without a request.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=86400),
    default=60.0,
    show_default=True,
    help="With --wait: seconds to wait at most. The instance stays drained when they are over.",
)
@instance_option
@registry_option
@format_option("text", "json")
def drain(
    *, state: str, wait: bool, quiet: float, timeout: float, instance: str | None, registry: str | None, form: str
) -> int:
    """Let `/readyz` and `passenger health` fail, so that load balancers send nothing more; serve whatever comes.

    `passenger stop` follows when they have noticed, or `passenger drain off`. It outlives a crash of the core.
    """
    if wait and state == "off":
        raise click.UsageError("--wait belongs to `drain on`")
    record = chosen_instance(instance, registry)
    what = f"the core of instance {record.name}"
    question = {"verb": "drain", "on": state == "on"}
    told = api.call(record.paths.core_api, question, timeout=GRACE, what=what)
    is_quiet = wait and wait_until_quiet(
        lambda: core_status(record), quiet=quiet, timeout=timeout, now=time.monotonic, rest=time.sleep
    )
    if form == "json":
        answer = {"instance": record.name, "drained_at": told["drained_at"]}
        print(json.dumps(answer | ({"quiet": is_quiet} if wait else {})))
    elif state == "off":
        print(f"instance {record.name} is ready again")
    else:
        print(f"instance {record.name} says that it is not ready; it serves what comes")
        if wait:
            print(f"no request came for {quiet:g} s" if is_quiet else f"requests still come after {timeout:g} s")
    return EXIT_OK if is_quiet or not wait else EXIT_FAILED
