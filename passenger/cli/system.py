"""The real collaborators of planning: this machine, and the neighbours' functions.

The one place of the command line that knows them all; everything else is handed what it needs.
"""

from __future__ import annotations

import grp
import math
import os
import resource
import sys
from typing import TYPE_CHECKING

from passenger.cli.configuration import bounds_here
from passenger.cli.planning import PlanningHost
from passenger.cli.start_request import StartRequest
from passenger.instance.programs import python_module

if TYPE_CHECKING:
    from passenger.config.model import InstanceConfig
    from passenger.posix.users import Identity
    from passenger.webserver.binary import NginxBinary


def planning_host() -> PlanningHost:
    """This machine, for planning."""
    from passenger.config.accounts import SystemAccounts
    from passenger.posix.cgroup import visible_cpus
    from passenger.webserver import render
    from passenger.webserver.urls import urls

    return PlanningHost(
        euid=os.geteuid(),
        environ=os.environ,
        accounts=SystemAccounts(),
        group_name=_group_name,
        cpus=max(1, math.ceil(visible_cpus())),
        open_files=_open_files(),
        find_nginx=_find_nginx,
        render_nginx=render,
        urls=urls,
        app_identity=_app_identity,
        core_argv=python_module("passenger.core"),
        router_argv=python_module("passenger.telemetry"),
        bounds=bounds_here,
    )


def reload_argv(request: StartRequest, instance: str) -> list[str]:
    """The command with which a running watchdog has its configuration resolved again."""
    return [*python_module("passenger"), "resolve-plan", *request.reload_arguments(instance)]


def _open_files() -> int | None:
    """The hard limit of descriptors, which nginx's workers may raise theirs to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _app_identity(name: str, config: InstanceConfig) -> Identity | None:
    """Asked by root only: nobody else loads the spawner for it."""
    from passenger.cli.spawning import app_identity

    return app_identity(name, config)


def _group_name(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


def _find_nginx(configured: str | None, modules: frozenset[str]) -> NginxBinary:
    """The nginx to use; what is to be said about it goes to stderr."""
    from passenger.webserver.binary import find

    found = find(configured, search_path=os.environ.get("PATH", os.defpath), modules=modules)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return found
