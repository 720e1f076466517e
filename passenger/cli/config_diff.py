"""`passenger config diff`: what a reload would change, without changing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from passenger.cli import api
from passenger.cli.differences import lines
from passenger.cli.options import examples, format_option, instance_option, registry_option
from passenger.cli.running import chosen_instance
from passenger.errors import EXIT_DIFFERENT, EXIT_OK
from passenger.instance.registry import InstanceRecord
from passenger.log import printable

TIMEOUT = 90.0
"""Seconds; the watchdog gives the reading of the configuration one minute."""

exit_code_option = click.option(
    "--exit-code", "by_status", is_flag=True, help=f"Exit status {EXIT_DIFFERENT} if there are differences."
)


@click.command(
    epilog=examples(
        "passenger config diff",
        "passenger config diff new.toml --instance main",
        "passenger config diff --exit-code || echo 'a reload would change something'",
    )
)
@click.argument("file", required=False)
@instance_option
@registry_option
@format_option("text", "json")
@exit_code_option
def diff(*, file: str | None, instance: str | None, registry: str | None, form: str, by_status: bool) -> int:
    """Compare the configuration that runs with the file: each key, old and new, and what a reload would do for it.

    Without FILE it is what the instance was started with, files, flags and variables together, as a reload reads them.
    """
    return tell_differences(chosen_instance(instance, registry), file, form=form, by_status=by_status)


def tell_differences(record: InstanceRecord, file: str | None, *, form: str, by_status: bool) -> int:
    """Ask the watchdog to compare, print the answer; the exit status."""
    question: dict[str, Any] = {"verb": "compare"}
    if file is not None:
        question["file"] = str(Path(file).absolute())
    what = f"the watchdog of instance {record.name}"
    answer = api.call(record.paths.watchdog_api, question, timeout=TIMEOUT, what=what)
    changes = answer["changes"]
    if form == "json":
        print(json.dumps({"instance": record.name, "files": answer["files"], "changes": changes}, indent=2))
    elif changes:
        print(printable(f"instance {record.name} -> {', '.join(answer['files'])}"))
        print("\n".join(lines(changes)))
    else:
        print(printable(f"instance {record.name} runs what {', '.join(answer['files'])} says"))
    return EXIT_DIFFERENT if changes and by_status else EXIT_OK
