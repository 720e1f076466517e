"""`passenger resolve-plan`: how a running watchdog has its configuration resolved again for a reload.

The running Plan comes as JSON on stdin; the new Plan leaves as JSON on stdout with exit status 0. What is wrong goes to
stderr, with exit status 78 for an invalid configuration. The watchdog decides what happens next.

With `--compare` the differences leave instead of the plan, and `--instead FILE` takes the place of the file that the
instance was started with. Secrets stay in this process.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from passenger.cli.configuration import validation_host
from passenger.cli.differences import as_json
from passenger.cli.limit_origins import with_limits
from passenger.cli.own_ports import ports_of_file
from passenger.cli.planning import make_plan
from passenger.cli.resolution import find_source, resolve
from passenger.cli.start_request import StartRequest
from passenger.cli.system import planning_host, reload_argv
from passenger.config.changes import compare, held_back
from passenger.config.model import Config, InstanceConfig, of_instance
from passenger.config.ports import Address, OwnPorts
from passenger.config.resolved import decode
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
@click.option("--compare", "is_comparing", is_flag=True)
@click.option("--instead", metavar="FILE")
@click.argument("directory", required=False)
def resolve_plan(
    *, instance: str, is_comparing: bool, instead: str | None, **options: str | int | tuple[str, ...] | None
) -> int:
    """Resolve the configuration of a running instance again (called by the watchdog)."""
    running = _running_plan(sys.stdin.buffer.read())
    request = StartRequest(instances=(instance,), **options)  # type: ignore[arg-type]
    if instead is not None:
        request = replace(request, config_file=instead, cwd=str(Path(instead).parent))
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
    before, after = _running_config(running), of_instance(resolution.config, instance)
    applicable, waiting = held_back(before, after)
    plan = make_plan(
        with_limits(applicable, resolution.document),
        host=planning_host(),
        config_files=resolution.files,
        reload_argv=reload_argv(request, instance),
        running=running,
    )
    _check_rights(running, plan)
    if is_comparing:
        told = {"files": resolution.files or [source.file], "changes": as_json(compare(before, after), resolution)}
        sys.stdout.write(json.dumps(told))
    else:
        sys.stdout.buffer.write(dump(replace(plan, waiting_keys=waiting)))
    sys.stdout.flush()
    return EXIT_OK


def _check_rights(running: Plan, plan: Plan) -> None:
    """A core that gave root up cannot get it back; half a reload would leave applications that cannot start."""
    if plan.core_uid == 0 and running.core_uid not in {0, None}:
        raise HostError(
            "the new configuration needs a core that runs as root (another user for an application, limits beyond "
            "Passenger's own, or a cgroup), and this one gave root up at its start",
            hint=f"stop instance {running.name} and start it again",
        )


def _running_config(running: Plan) -> InstanceConfig:
    try:
        return decode(InstanceConfig, running.core_config)
    except (KeyError, TypeError, ValueError) as error:
        raise _other_version(f"what runs cannot be read: {error!r}") from error


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
        raise _other_version(f"the running plan cannot be read: {error}") from error


def _other_version(what: str) -> HostError:
    return HostError(what, hint="Passenger was upgraded: stop the instance and start it")
