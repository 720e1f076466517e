"""What `passenger start` does once it knows what is asked for: check everything, make the plans, become the watchdog.

Rule: no click here. A container that was given no arguments has nothing to parse, and starts that much sooner.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from passenger.cli import outputs
from passenger.cli.becoming import become_watchdog
from passenger.cli.configuration import validation_host
from passenger.cli.daemon import run_in_background
from passenger.cli.limit_origins import with_limits
from passenger.cli.own_ports import is_same_file, ports_of_file
from passenger.cli.planning import make_plan
from passenger.cli.resolution import Resolution, Source, find_source, resolve
from passenger.cli.standalone import instance_name
from passenger.cli.start_request import StartRequest
from passenger.cli.system import planning_host, reload_argv
from passenger.config.model import of_instance
from passenger.errors import EXIT_OK, HostError
from passenger.instance.plan import Plan
from passenger.instance.registry import find_instances


def run(
    request: StartRequest, *, daemonize: bool = False, pid_file: str | None = None, log_file: str | None = None
) -> int:
    """Start what is asked for. Raises InvalidConfigurationError and HostError; nothing has been started then."""
    source = find_source(request)
    refuse_second(request, source)
    plans = make_plans(request, source)
    if pid_file is not None:
        plans = [replace(plan, pid_file=str(Path(pid_file).absolute())) for plan in plans]
    if daemonize:
        log = Path(log_file or f"passenger.{plans[0].name}.log").absolute()
        return _background([replace(plan, log_file=str(log)) for plan in plans], log)
    if log_file is not None:
        outputs.redirect_output(outputs.open_log(log_file))
        plans = [replace(plan, log_file=str(Path(log_file).absolute())) for plan in plans]
    return become_watchdog(plans, os.environ)


def make_plans(request: StartRequest, source: Source) -> list[Plan]:
    """One plan per chosen instance. Raises InvalidConfigurationError and HostError; nothing has been started then."""
    own_ports = ports_of_file(source.file, environ=os.environ, euid=os.geteuid())
    resolution: Resolution = resolve(request, source, environ=os.environ, host=validation_host(), own_ports=own_ports)
    if source.found is not None:
        print(f"serving {request.folder} (found {source.found.evidence})", file=sys.stderr)
    host = planning_host()
    return [
        make_plan(
            with_limits(of_instance(resolution.config, name), resolution.document),
            host=host,
            config_files=resolution.files,
            reload_argv=reload_argv(request, name),
        )
        for name in resolution.instances
    ]


def refuse_second(request: StartRequest, source: Source) -> None:
    """Raises HostError when an instance of this configuration runs already.

    The watchdog's lock is what really keeps a second one out; this only comes before the complaint that the port,
    which is our own, is in use.
    """
    for record in find_instances(None, os.environ, os.geteuid()):
        if source.text is not None:
            same = record.name == instance_name(request.folder)
        else:
            same = is_same_file(source.file, record.config_files[:1])
            same = same and (not request.instances or record.name in request.instances)
        if same:
            raise HostError(
                f"instance {record.name} is already running (watchdog pid {record.watchdog_pid})",
                hint="`passenger reload` applies a changed configuration, `passenger stop` ends it",
            )


def _background(plans: list[Plan], log_file: Path) -> int:
    pid = run_in_background(plans, log_file=str(log_file), environ=os.environ, become=become_watchdog)
    for plan in plans:
        print(f"instance {plan.name} is ready (pid {pid}, log {log_file})")
        for app, url in plan.urls.items():
            print(f"  {app}: {url}")
    return EXIT_OK
