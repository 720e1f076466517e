"""`passenger-config list-instances`: every running instance that this user can see."""

from __future__ import annotations

import json

import click

from passenger.cli.options import examples, registry_option
from passenger.cli.running import running_instances
from passenger.errors import EXIT_OK
from passenger.log import printable


@click.command(epilog=examples("passenger-config list-instances", "passenger-config list-instances --json"))
@registry_option
@click.option("--json", "as_json", is_flag=True, help="A list for programs.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when there is none.")
def list_instances(*, registry: str | None, as_json: bool, quiet: bool) -> int:
    """List the running instances: name, process id of the watchdog, configuration."""
    records = running_instances(registry)
    if as_json:
        found = [
            {
                "name": record.name,
                "instance_dir": record.paths.root,
                "watchdog_pid": record.watchdog_pid,
                "version": record.version,
                "created_at": record.created_at,
                "config_files": list(record.config_files),
                "urls": dict(record.urls),
            }
            for record in records
        ]
        print(json.dumps(found, indent=2))
    elif records:
        print(f"{'Name':<25} {'PID':<8} Description")
        for record in records:
            print(printable(f"{record.name:<25} {record.watchdog_pid:<8} {', '.join(record.config_files) or '-'}"))
    elif not quiet:
        print("There are no Passenger instances running.")
    return EXIT_OK
