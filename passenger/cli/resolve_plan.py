"""`passenger resolve-plan`: how a running watchdog has its configuration resolved again for a reload.

The running Plan comes as JSON on stdin; the new Plan leaves as JSON on stdout with exit status 0. What is wrong goes to
stderr, with exit status 78 for an invalid configuration. The watchdog decides what happens next.
"""

from __future__ import annotations

import os
import sys

import click

from passenger.cli.configuration import validation_host
from passenger.cli.planning import make_plan
from passenger.cli.resolution import find_source, resolve
from passenger.cli.start_request import StartRequest
from passenger.cli.system import planning_host, reload_argv
from passenger.config.model import of_instance
from passenger.errors import EXIT_OK, HostError, InstanceSelectionError, InvalidConfigurationError
from passenger.instance.plan import Plan, dump, load


@click.command(hidden=True)
@click.option("--cwd", required=True)
@click.option("--config", "config_file")
@click.option("--set", "sets", multiple=True)
@click.option("--instance", required=True)
@click.option("--port", type=int)
@click.option("--address")
@click.option("--environment")
@click.argument("directory", required=False)
def resolve_plan(instance: str, **options: str | int | tuple[str, ...] | None) -> int:
    """Resolve the configuration of a running instance again (called by the watchdog)."""
    running = _running_plan(sys.stdin.buffer.read())
    request = StartRequest(instances=(instance,), **options)  # type: ignore[arg-type]
    own_ports = frozenset((listen.host, listen.port) for listen in running.nginx_listen)
    try:
        resolution = resolve(
            request, find_source(request), environ=os.environ, host=validation_host(), own_ports=own_ports
        )
    except InstanceSelectionError as error:
        raise InvalidConfigurationError(
            f"error: instance {instance} is running but no longer in the configuration",
            hint="put it back, or stop the instance with `passenger stop`",
        ) from error
    plan = make_plan(
        of_instance(resolution.config, instance),
        host=planning_host(),
        config_files=resolution.files,
        reload_argv=reload_argv(request, instance),
        running=running,
    )
    sys.stdout.buffer.write(dump(plan))
    sys.stdout.buffer.flush()
    return EXIT_OK


def _running_plan(data: bytes) -> Plan:
    try:
        return load(Plan, data)
    except (ValueError, TypeError) as error:
        raise HostError(
            f"the running plan cannot be read: {error}", hint="Passenger was upgraded: stop the instance and start it"
        ) from error
