"""From a valid configuration to a Plan: everything the watchdog must know, decided once, before it starts.

Who runs as whom (design: section 9). Started as an ordinary user, everything runs as that user. Started as root:
nginx workers run as `nginx.user`; the core as `core.user` (else `default_user`), unless some application runs as
another user or group than the core's own, or has limits beyond ours or a cgroup, which only root can arrange: then the
core keeps root.

Rules.
1. Facts about the host come in through `PlanningHost`; nothing is started, bound or written here.
2. A reload keeps the name, the instance directory and the connect secret of the running plan.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from passenger import __version__
from passenger.cli.readers import reader_ids
from passenger.config.accounts import Account, Accounts
from passenger.config.bounds import Bounds, needs_root
from passenger.config.host_telemetry import NGINX_USERS
from passenger.config.ids import numeric_id
from passenger.config.model import InstanceConfig
from passenger.config.paths import InstancePaths, instance_paths
from passenger.config.resolved import encode
from passenger.config.telemetry import routes_of
from passenger.config.values import LOG_WORDS
from passenger.errors import HostError
from passenger.instance.plan import Plan
from passenger.lazy_dataclass import dataclass
from passenger.posix.users import Identity
from passenger.webserver.addresses import listens
from passenger.webserver.binary import NginxBinary, needed_modules

SECRET_BYTES = 32
APPS_DIR_OF_ONE_USER = 0o700
APPS_DIR_OF_MANY_USERS = 0o1733
"""Every application's user may create its socket, nobody may list or remove those of others."""

RenderNginx = Callable[..., dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningHost:
    """What planning knows about the host, and the neighbours it asks."""

    euid: int
    environ: Mapping[str, str]
    accounts: Accounts
    group_name: Callable[[int], str | None]
    cpus: int
    open_files: int | None
    """Most descriptors that an nginx worker may have; None = no limit."""
    find_nginx: Callable[[str | None, frozenset[str]], NginxBinary]
    """Configured program (or None), modules that it needs -> the nginx to use. Raises HostError when there is none."""
    render_nginx: RenderNginx
    urls: Callable[[InstanceConfig], dict[str, str]]
    app_identity: Callable[[str, InstanceConfig], Identity | None]
    """Who the processes of an application run as when started as root; None = it cannot be said now."""
    core_argv: list[str]
    router_argv: list[str] = field(default_factory=list)
    bounds: Callable[[], Bounds] = Bounds
    """Our own limits; asked only when an application has some."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Who runs as whom."""

    nginx: Account | None
    nginx_group: str | None
    core_uid: int | None
    core_gid: int | None
    request_gid: int | None
    allowed_uids: list[int]
    apps_dir_mode: int


def make_plan(
    config: InstanceConfig,
    *,
    host: PlanningHost,
    config_files: Sequence[str],
    reload_argv: list[str],
    running: Plan | None = None,
) -> Plan:
    """The plan of one instance. Raises HostError for missing users, groups or programs, and for a reload that would
    move the instance; UnrenderableValueError for a value that nginx cannot carry."""
    paths = instance_paths(config, environ=host.environ, euid=host.euid)
    if running is not None:
        _check_same_place(config, paths, running)
    instance = config.instance
    who = identities(config, host)
    nginx = find_nginx(config, host) if instance.nginx.mode == "managed" else None
    reader_uids, reader_gids = reader_ids(instance.admin.readers, host.accounts)
    secret = running.connect_secret if running is not None else os.urandom(SECRET_BYTES).hex()
    return Plan(
        name=config.name,
        version=__version__,
        instance_dir=paths.root,
        core_config=encode(config, secrets=True),
        shown_config=encode(config, secrets=False),
        config_files=list(config_files),
        urls=host.urls(config),
        connect_secret=secret,
        core_argv=host.core_argv,
        reload_argv=reload_argv,
        log_level=instance.log_level,
        log_format=instance.log_format,
        drain_timeout=instance.watchdog.drain_timeout,
        drain_delay=instance.watchdog.drain_delay,
        reload_on_change=instance.watchdog.reload_on_change,
        start_timeout=instance.watchdog.start_timeout,
        max_crashes=instance.watchdog.max_crashes,
        crash_window=instance.watchdog.crash_window,
        core_uid=who.core_uid,
        core_gid=who.core_gid,
        request_gid=who.request_gid,
        apps_dir_mode=who.apps_dir_mode,
        nginx_mode=instance.nginx.mode,
        nginx_argv=nginx.argv if nginx is not None else [],
        nginx_files=nginx_files(config, host=host, who=who, nginx=nginx, secret=secret),
        nginx_listen=listens(config),
        allowed_uids=who.allowed_uids,
        reader_uids=reader_uids,
        reader_gids=reader_gids,
        log_file=running.log_file if running is not None else "",
        router_argv=host.router_argv,
        router_uid=who.nginx.uid if host.euid == 0 and who.nginx is not None else None,
        router_gid=who.nginx.gid if host.euid == 0 and who.nginx is not None else None,
        telemetry=_telemetry(config),
        nginx_log_file=instance.nginx.access_log not in LOG_WORDS,
    )


def _telemetry(config: InstanceConfig) -> dict[str, Any] | None:
    """What UstRouter is started with; None without a sink."""
    section = config.instance.telemetry
    if not section.has_sinks():
        return None
    routes = routes_of(section, {name: app.telemetry for name, app in config.apps.items()})
    encoded: dict[str, Any] = encode(routes, secrets=True)
    return encoded


def find_nginx(config: InstanceConfig, host: PlanningHost) -> NginxBinary:
    """The nginx program of an instance. Raises HostError."""
    section = config.instance.nginx
    return host.find_nginx(section.binary, needed_modules(section))


def nginx_files(
    config: InstanceConfig, *, host: PlanningHost, who: Identities, nginx: NginxBinary | None, secret: str
) -> dict[str, str]:
    """The rendered web server configuration; {} in mode `off`."""
    as_root = host.euid == 0
    return host.render_nginx(
        config,
        paths=instance_paths(config, environ=host.environ, euid=host.euid),
        connect_secret=secret,
        workers=config.instance.nginx.worker_processes or host.cpus,
        user=who.nginx.name if as_root and who.nginx is not None else None,
        group=who.nginx_group if as_root else None,
        build=nginx.build if nginx is not None else None,
        open_files=host.open_files,
    )


def identities(config: InstanceConfig, host: PlanningHost) -> Identities:
    """Decide who runs as whom. Raises HostError for an account that does not exist."""
    if host.euid != 0:
        return _ordinary(config, host)
    nginx = _nginx_account(config, host.accounts)
    group = config.instance.nginx.group
    nginx_gid = nginx.gid if group is None else _gid(host.accounts, group, "nginx.group")
    core = _core_identity(config, host.accounts)
    keeps_root = any(
        _needs_root(host.app_identity(name, config), core) or needs_root(app, host.bounds)
        for name, app in config.apps.items()
    )
    return Identities(
        nginx=nginx,
        nginx_group=group if group is not None else host.group_name(nginx_gid),
        core_uid=0 if keeps_root else core[0],
        core_gid=0 if keeps_root else core[1],
        request_gid=nginx_gid,
        allowed_uids=[nginx.uid],
        apps_dir_mode=APPS_DIR_OF_MANY_USERS if keeps_root else APPS_DIR_OF_ONE_USER,
    )


def _needs_root(app: Identity | None, core: tuple[int, int]) -> bool:
    """Whether only root can start this application: another user or group, or supplementary groups."""
    return app is None or (app.uid, app.gid) != core or not set(app.groups) <= {app.gid}


def _ordinary(config: InstanceConfig, host: PlanningHost) -> Identities:
    """Everything runs as the caller; only an nginx that somebody else runs may be another user."""
    section = config.instance.nginx
    external = section.mode == "external"
    other = _account(host.accounts, section.user, "nginx.user") if external and section.user is not None else None
    group = _gid(host.accounts, section.group, "nginx.group") if external and section.group is not None else None
    return Identities(
        nginx=other,
        nginx_group=None,
        core_uid=None,
        core_gid=None,
        request_gid=group,
        allowed_uids=sorted({host.euid} | ({other.uid} if other is not None else set())),
        apps_dir_mode=APPS_DIR_OF_ONE_USER,
    )


def _nginx_account(config: InstanceConfig, accounts: Accounts) -> Account:
    configured = config.instance.nginx.user
    if configured is not None:
        return _account(accounts, configured, "nginx.user")
    for name in NGINX_USERS:
        if (account := accounts.user(name)) is not None:
            return account
    raise HostError(
        f"none of the users {', '.join(NGINX_USERS)} exists to run nginx as",
        hint=f"set instances.{config.name}.nginx.user",
    )


def _core_identity(config: InstanceConfig, accounts: Accounts) -> tuple[int, int]:
    core = config.instance.core
    if core.user is not None:
        account = _account(accounts, core.user, "core.user")
        return account.uid, account.gid
    account = _account(accounts, core.default_user, "core.default_user")
    gid = account.gid if core.default_group is None else _gid(accounts, core.default_group, "core.default_group")
    return account.uid, gid


def _account(accounts: Accounts, name: str, key: str) -> Account:
    uid = numeric_id(name)
    account = accounts.user(name) or (None if uid is None else accounts.user_by_id(uid))
    if account is None:
        raise HostError(f"there is no user {name!r} on this host", hint=f"create it, or set {key} to another one")
    return account


def _gid(accounts: Accounts, name: str, key: str) -> int:
    gid = accounts.group(name)
    if gid is None:
        gid = numeric_id(name)
    if gid is None:
        raise HostError(f"there is no group {name!r} on this host", hint=f"create it, or set {key} to another one")
    return gid


def _check_same_place(config: InstanceConfig, paths: InstancePaths, running: Plan) -> None:
    if paths.root == running.instance_dir and config.name == running.name:
        return
    raise HostError(
        f"a reload cannot move instance {running.name} from {running.instance_dir} to {paths.root}",
        hint="put `registry_dir` back, or stop the instance and start it again",
    )
