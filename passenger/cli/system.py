"""The real collaborators of planning and validation: this machine, and the neighbours' functions.

The one place of the command line that knows them all; everything else is handed what it needs.
"""

from __future__ import annotations

import grp
import math
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from passenger.cli.discovery import STARTUP_FILE
from passenger.cli.planning import PlanningHost
from passenger.cli.programs import python_module
from passenger.cli.start_request import StartRequest

if TYPE_CHECKING:
    from passenger.config.host import Host
    from passenger.config.model import App, InstanceConfig
    from passenger.posix.users import Identity


def validation_host() -> Host:
    """This machine, for the E4xx checks."""
    from passenger.config.host import SystemHost

    return SystemHost()


def planning_host() -> PlanningHost:
    """This machine, for planning."""
    from passenger.posix.cgroup import visible_cpus
    from passenger.posix.users import SystemAccounts
    from passenger.webserver import render
    from passenger.webserver.binary import find
    from passenger.webserver.urls import urls

    return PlanningHost(
        euid=os.geteuid(),
        egid=os.getegid(),
        environ=os.environ,
        accounts=SystemAccounts(),
        group_name=_group_name,
        cpus=max(1, math.ceil(visible_cpus())),
        open_files=_open_files(),
        find_nginx=lambda configured, tls: find(configured, search_path=os.environ.get("PATH", os.defpath), tls=tls),
        render_nginx=render,
        urls=urls,
        app_identity=_app_identity,
        core_argv=python_module("passenger.core"),
    )


def reload_argv(request: StartRequest, instance: str) -> list[str]:
    """The command with which a running watchdog has its configuration resolved again."""
    return [*python_module("passenger"), "resolve-plan", *request.reload_arguments(instance)]


def _open_files() -> int | None:
    """The hard limit of descriptors, which nginx's workers may raise theirs to."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _group_name(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None


def _app_identity(app: App, config: InstanceConfig) -> Identity:
    from passenger.posix.users import SystemAccounts, Wish, identity_for

    core = config.instance.core
    wish = Wish(
        user=app.user,
        group=app.group,
        owner=_owner(app),
        default_user=core.default_user,
        default_group=core.default_group,
    )
    return identity_for(
        wish, own_uid=os.geteuid(), own_gid=os.getegid(), own_groups=os.getgroups(), accounts=SystemAccounts()
    )


def _owner(app: App) -> int | None:
    """uid of the startup file (of a symbolic link itself); None when the application has none."""
    if app.entry_point is not None:
        return None
    try:
        return (Path(app.app_root) / (app.startup_file or STARTUP_FILE)).lstat().st_uid
    except OSError:
        return None
