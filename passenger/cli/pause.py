"""`passenger pause` and `passenger resume`: hold the requests of applications for a while, without losing any."""

from __future__ import annotations

import json

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.restart_app import GRACE, meant
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_FAILED, EXIT_OK
from passenger.log import printable


@click.command(
    epilog=examples("passenger pause blog", "passenger pause blog --hold 10 --no-wait", "passenger pause --all")
)
@click.argument("apps", nargs=-1, metavar="[NAME|PATH]...")
@click.option("--all", "every", is_flag=True, help="Every application of the instance.")
@click.option(
    "--hold",
    type=click.FloatRange(min=0.1, max=3600),
    default=30.0,
    show_default=True,
    help="Seconds that a request is held at most; then it is answered 504 (`request_queue_timeout_status_code`).",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until nothing runs; status 1 if not.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, max=3600), default=30.0, show_default=True, help="Seconds to wait."
)
@instance_option
@registry_option
@format_option("text", "json")
def pause(
    *,
    apps: tuple[str, ...],
    every: bool,
    hold: float,
    wait: bool,
    timeout: float,
    instance: str | None,
    registry: str | None,
    form: str,
) -> int:
    """Hold the requests of applications until `passenger resume`, and wait until those that run have finished.

    For a moment in which nothing may run, such as the migration of a database. At most `max_request_queue_size`
    requests are held; further ones are refused. The pause has no end of its own, and outlives a crash of the core.
    """
    record = chosen_instance(instance, registry)
    seconds = timeout if wait else 0.0
    question = {"verb": "pause", "hold": hold, "wait": seconds, **meant(record, apps, every=every)}
    what = f"the core of instance {record.name}"
    told = api.call(record.paths.core_api, question, timeout=seconds + GRACE, what=what)["apps"]
    if form == "json":
        print(json.dumps({"instance": record.name, "apps": told}, indent=2))
    else:
        for name, one in told.items():
            running = f"; {one['running']} still run" if one["running"] else "; nothing runs" if wait else ""
            print(printable(f"{name}: paused, each request is held for at most {hold:g} s{running}"))
    is_quiet = not any(one["running"] for one in told.values())
    return EXIT_OK if is_quiet or not wait else EXIT_FAILED


@click.command(epilog=examples("passenger resume blog", "passenger resume --all"))
@click.argument("apps", nargs=-1, metavar="[NAME|PATH]...")
@click.option("--all", "every", is_flag=True, help="Every application of the instance.")
@instance_option
@registry_option
@format_option("text", "json")
def resume(*, apps: tuple[str, ...], every: bool, instance: str | None, registry: str | None, form: str) -> int:
    """Let the requests that `passenger pause` holds go on, in the order in which they came."""
    record = chosen_instance(instance, registry)
    question = {"verb": "resume", **meant(record, apps, every=every)}
    what = f"the core of instance {record.name}"
    told = api.call(record.paths.core_api, question, timeout=GRACE, what=what)["apps"]
    if form == "json":
        print(json.dumps({"instance": record.name, "apps": told}, indent=2))
    else:
        for name, one in told.items():
            words = f"resumed, {one['released']} were held" if one["was_on"] else "was not paused"
            print(printable(f"{name}: {words}"))
    return EXIT_OK
