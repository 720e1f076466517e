"""`passenger reopen-logs`: after a rotation, everybody who writes to a log file opens it anew."""

from __future__ import annotations

import json

import click

from passenger.cli import api
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_OK, PassengerError
from passenger.log import printable

TIMEOUT = 10.0


@click.command(
    epilog=examples(
        "passenger reopen-logs",
        "mv passenger.log passenger.log.1 && passenger reopen-logs --instance main",
    )
)
@instance_option
@registry_option
@click.option(
    "--ignore-logs-not-available", is_flag=True, help="An instance that writes no file of its own is no error."
)
@format_option("text", "json")
def reopen_logs(*, instance: str | None, registry: str | None, ignore_logs_not_available: bool, form: str) -> int:
    """Let an instance open its log files anew, as logrotate wants it in `postrotate`. No line is lost.

    It is about the file of `passenger start --log-file`, and about nginx's `access_log` when that is a file.
    """
    record = chosen_instance(instance, registry)
    what = f"the watchdog of instance {record.name}"
    answer = api.call(record.paths.watchdog_api, {"verb": "reopen_logs"}, timeout=TIMEOUT, what=what)
    reopened = [str(name) for name in answer.get("reopened") or ()]
    if not reopened and not ignore_logs_not_available:
        raise PassengerError(
            f"instance {record.name} writes to no log file of its own",
            hint="its output goes where `passenger start` had it: whoever collects it there rotates it",
        )
    if form == "json":
        print(json.dumps({"instance": record.name, "reopened": reopened}))
    else:
        print("\n".join(printable(f"{name}: opened anew") for name in reopened))
    return EXIT_OK
