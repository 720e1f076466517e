"""`passenger detach-process`: let one process of an application finish its requests and end."""

from __future__ import annotations

import json

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.restart_app import GRACE
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_FAILED, EXIT_OK
from passenger.log import printable

WORDS = {
    "withdrawn": "takes no further request; it finishes those it runs, and ends",
    "replaced first": "is the only one that serves: it is replaced first, then it ends",
    "leaving already": "was told to end before",
}


@click.command(epilog=examples("passenger detach-process 4711", "passenger detach-process 4711 --wait --timeout 60"))
@click.argument("pid", type=click.IntRange(min=1), metavar="PID")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Wait until it has ended; status 1 if not.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, max=86400), default=300.0, show_default=True, help="Seconds to wait."
)
@instance_option
@registry_option
@format_option("text", "json")
def detach_process(
    *, pid: int, wait: bool, timeout: float, instance: str | None, registry: str | None, form: str
) -> int:
    """Take a process of an application out of service; another one follows if `min_instances` or requests need it.

    PID is that of `passenger status`. No request is lost: what it runs may go on for `drain_timeout`.
    """
    record = chosen_instance(instance, registry)
    seconds = timeout if wait else 0.0
    answer = api.call(
        record.paths.core_api,
        {"verb": "detach", "pid": pid, "wait": seconds},
        timeout=seconds + GRACE,
        what=f"the core of instance {record.name}",
    )
    if form == "json":
        told = {name: answer[name] for name in ("pid", "app", "how", "gone")}
        print(json.dumps({"instance": record.name, **told}))
    else:
        print(printable(f"process {pid} of {answer['app']} {WORDS[answer['how']]}"))
        if wait:
            print(f"process {pid} has ended" if answer["gone"] else f"process {pid} still runs after {timeout:g} s")
    return EXIT_OK if answer["gone"] or not wait else EXIT_FAILED
