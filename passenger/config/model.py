"""The configuration, typed: every key once, with its default, unit, document line, version and reload class.

Instances are in `passenger.config.instance`, the keys of an application in layers, each on top of the one before
(`app_program`, `app_restarts`, `app_processes`, `app_requests`, `app_limits`, `app_sessions`), its tables and the whole
here. Together they generate `schema/passenger.schema.json`, `docs/configuration.md` and `config/passenger.toml`
(`python -m passenger.config.generate`); a test fails when one of them has drifted.

Rules.
1. A key stands here only once the code honours it.
2. Values are plain and frozen: durations are seconds (float), sizes are bytes (int), paths are absolute strings
   after loading. Nothing here opens a file, looks at the host or the environment.
3. `None` as a default means "worked out where it is used"; the document line says how.
4. Strings of an application's `env` and everything read through `{ file = ... }` may be secret: see `EnvValue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from passenger.config.app_cache import AppCache
from passenger.config.app_sessions import AppSessions
from passenger.config.declare import NO_TABLE, key
from passenger.config.env_value import EnvValue
from passenger.config.instance import Instance
from passenger.config.patterns import ENV_GLOB_PATTERN
from passenger.config.telemetry import AppTelemetry
from passenger.config.units import MIB
from passenger.lazy_dataclass import dataclass

__all__ = ["App", "AppInherit", "AppNginx", "Config", "EnvValue", "InstanceConfig", "ShownLimit", "of_instance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppNginx:
    """`[apps.NAME.nginx]`: what nginx does for this application."""

    client_max_body_size: int = key(
        "Largest request body; a larger one is answered 413. `0B` = no limit.",
        default=1024 * MIB,
        unit="size",
        reload="live",
    )
    request_buffering: bool = key(
        "nginx reads the whole request body before it bothers the application.", default=True, reload="live"
    )
    response_buffering: bool = key(
        "nginx takes the response as fast as the application gives it. Off suits event streams.",
        default=True,
        reload="live",
    )
    static_max_age: float = key(
        "`Cache-Control: max-age` of static files. `0s` = no such header.", default=0.0, unit="duration", reload="live"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInherit:
    """`[apps.NAME.inherit]`: which variables of the environment of `passenger start` the application gets."""

    allow: tuple[str, ...] = key(
        "Names that are passed on. Those that mean Passenger itself (`PASSENGER_*`, `LISTEN_*`, `NOTIFY_SOCKET`, ...) "
        "never are; PATH, HOME, USER, LOGNAME and SHELL always have a value.",
        default=("*",),
        example=["LANG", "LC_*", "TZ"],
        pattern=ENV_GLOB_PATTERN,
        pattern_help="a name such as `LANG`, or one with `*` or `?` such as `AWS_*`",
    )
    deny: tuple[str, ...] = key(
        "Names that are not passed on, even if they are allowed.",
        default=(),
        example=["*_TOKEN"],
        pattern=ENV_GLOB_PATTERN,
        pattern_help="a name such as `LANG`, or one with `*` or `?` such as `AWS_*`",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class App(AppSessions):
    """`[apps.NAME]`: one application. Any of these keys may stand in `[defaults]` for all of them."""

    env: Mapping[str, EnvValue] = key(
        'Environment variables of the application. A value may be `{ file = "..." }` or `{ credential = "..." }` (a '
        'secret, one trailing newline removed), or `{ env = "NAME", default = "..." }`.',
        default=NO_TABLE,
        example={"DJANGO_SETTINGS_MODULE": "blog.settings"},
    )
    env_files: tuple[str, ...] = key(
        "Files of `NAME=VALUE` lines, read when the configuration is. Their values are secrets, later files win, and "
        "`env` wins over all of them. Relative paths start at the folder of the file that holds the key.",
        default=(),
        unit="path",
        example=["blog.env"],
    )
    inherit: AppInherit = key(
        "Which variables of the environment of `passenger start` the application gets.", table=AppInherit
    )
    nginx: AppNginx = key("What nginx does for this application.", table=AppNginx)
    cache: AppCache = key("Responses that nginx keeps.", table=AppCache)
    telemetry: AppTelemetry = key("What is told about its requests.", table=AppTelemetry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole, valid configuration."""

    config_version: int = key("Version of the file format.", minimum=1, maximum=1, example=1)
    instances: Mapping[str, Instance] = key("Instances, by name.", default=NO_TABLE)
    apps: Mapping[str, App] = key("Applications, by name.", default=NO_TABLE)


@dataclass(frozen=True, slots=True)
class ShownLimit:
    """A limit as people are shown it. `app` is "" for one of the instance."""

    app: str
    key: str
    value: str
    origin: str
    """Where the configuration has it from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceConfig:
    """What one instance is started with: itself and its applications (`App.instance` == `name` for all of them)."""

    name: str
    instance: Instance
    apps: Mapping[str, App]
    limits: tuple[ShownLimit, ...] = ()
    """For the dashboard; whoever decides reads the values themselves."""


def of_instance(config: Config, name: str) -> InstanceConfig:
    """The part of a configuration that concerns one instance. Raises KeyError for an unknown name."""
    apps = {app_name: app for app_name, app in config.apps.items() if app.instance == name}
    return InstanceConfig(name=name, instance=config.instances[name], apps=MappingProxyType(apps))
