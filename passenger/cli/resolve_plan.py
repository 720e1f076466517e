"""`passenger resolve-plan`: how a running watchdog has its configuration resolved again for a reload.

The running Plan comes as JSON on stdin; the new Plan leaves as JSON on stdout with exit status 0. What is wrong goes to
stderr, with exit status 78 for an invalid configuration. The watchdog decides what happens next.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import click

from passenger.cli.configuration import validation_host
from passenger.cli.own_ports import ports_of_file
from passenger.cli.planning import make_plan
from passenger.cli.resolution import find_source, resolve
from passenger.cli.start_request import StartRequest
from passenger.cli.system import planning_host, reload_argv
from passenger.config.model import Config, of_instance
from passenger.config.ports import Address, OwnPorts
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
    source = find_source(request)
    try:
        resolution = resolve(
            request,
            source,
            environ=os.environ,
            host=validation_host(),
            own_ports=_own_ports(running, ports_of_file(source.file, environ=os.environ, euid=os.geteuid())),
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


def _own_ports(running: Plan, of_file: OwnPorts) -> OwnPorts:
    """Also right for a folder without a file, and for an instance that the file no longer has: that is the mistake to
    report, not the port of the instance that took its place."""
    own = frozenset((listen.host, listen.port) for listen in running.nginx_listen)

    def look(config: Config) -> Mapping[str, frozenset[Address]]:
        if running.name not in config.instances:
            return dict.fromkeys(config.instances, own)
        return {**of_file(config), running.name: own}

    return look


def _running_plan(data: bytes) -> Plan:
    try:
        return load(Plan, data)
    except (ValueError, TypeError) as error:
        raise HostError(
            f"the running plan cannot be read: {error}", hint="Passenger was upgraded: stop the instance and start it"
        ) from error
