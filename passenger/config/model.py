"""The configuration, typed: every key once, with its default, unit, document line, version and reload class.

Instances are in `passenger.config.instance`; the rest is here. Both together generate
`schema/passenger.schema.json`, `docs/configuration.md` and `config/passenger.toml`
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
from dataclasses import dataclass, field
from types import MappingProxyType

from passenger.config.apptypes import APP_TYPES, known_startup_files
from passenger.config.declare import NO_TABLE, key
from passenger.config.instance import Instance
from passenger.config.patterns import BASE_URI_PATTERN, ENV_GLOB_PATTERN, HOST_PATTERN
from passenger.config.units import MIB


@dataclass(frozen=True, slots=True)
class EnvValue:
    """A value of an application's environment; a secret one is never shown."""

    value: str
    secret: bool = False
    origin: str = field(default="", compare=False)
    """FILE:LINE of the env file that sets it; "" when the configuration itself does."""

    def __repr__(self) -> str:
        return "EnvValue(<secret>)" if self.secret else f"EnvValue({self.value!r})"


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
class App:
    """`[apps.NAME]`: one application. Any of these keys may stand in `[defaults]` for all of them."""

    instance: str | None = key(
        "Instance that serves the application.",
        default=None,
        example="main",
        default_doc="the only instance of the file",
    )
    app_root: str = key(
        "Folder of the application; relative paths start at the folder of the file that holds the key.",
        unit="path",
        example="/srv/blog",
    )
    app_type: str | None = key(
        "Kind of application.",
        default=None,
        choices=tuple(kind.name for kind in APP_TYPES),
        default_doc="told by `app_start_command`, `entry_point` or `startup_file`, else by the first of "
        + ", ".join(f"`{name}`" for name in known_startup_files())
        + " that is in `app_root`",
    )
    startup_file: str | None = key(
        "File, relative to `app_root`, that defines the application.",
        default=None,
        example="passenger_wsgi.py",
        default_doc="by [type](#types)",
    )
    entry_point: str | None = key(
        "`module:object` of a Python application, instead of a startup file. Without an `app_type` the object itself "
        "says whether it is WSGI or ASGI.",
        default=None,
        example="blog.wsgi:application",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(\(\))?$",
        pattern_help="`package.module:object`, or `package.module:factory()`",
    )
    app_start_command: str | None = key(
        "Command that starts a program which speaks HTTP, run by `/bin/sh` in `app_root`. It listens on `$SOCKET` or "
        "on `$HOST:$PORT`.",
        default=None,
        example="./server --listen $HOST:$PORT",
    )
    app_env: str = key(
        "Environment name, given to the application as PASSENGER_APP_ENV, WSGI_ENV, RACK_ENV, RAILS_ENV and NODE_ENV.",
        default="production",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        pattern_help="letters, digits, `_`, `.` and `-`",
    )
    python: str | None = key(
        "Python interpreter of the application, usually that of its virtual environment; relative to `app_root`.",
        default=None,
        unit="path",
        example=".venv/bin/python",
        default_doc="`.venv/bin/python` or `venv/bin/python` in `app_root`, else the Python that runs Passenger",
    )
    ruby: str | None = key(
        "Ruby of a Rack application: a program in PATH, or a path relative to `app_root`.",
        default=None,
        unit="path",
        example="/opt/ruby-3.3/bin/ruby",
        default_doc="`ruby` in the application's PATH",
    )
    nodejs: str | None = key(
        "Node.js of a Node application: a program in PATH, or a path relative to `app_root`.",
        default=None,
        unit="path",
        example="/opt/node-22/bin/node",
        default_doc="`node` in the application's PATH",
    )
    meteor_app_settings: str | None = key(
        "Settings file for `meteor run`, relative to `app_root`.", default=None, unit="path", example="settings.json"
    )
    server_names: tuple[str, ...] = key(
        "Host names of the application. None = it answers for every name that no other application has.",
        default=(),
        reload="live",
        example=["blog.example.com"],
        pattern=HOST_PATTERN,
        pattern_help="a host name such as `blog.example.com` or `*.example.com`, without port and path",
    )
    base_uri: str = key(
        "Path below which the application lives.",
        default="/",
        pattern=BASE_URI_PATTERN,
        pattern_help="`/` or a path such as `/blog`: letters, digits, `_`, `.`, `~`, `-`; no `..`, no slash at the end",
    )
    document_root: str | None = key(
        "Folder of static files, served by nginx; relative to `app_root`.",
        default=None,
        unit="path",
        reload="live",
        example="public",
        default_doc="`public`",
    )
    user: str | None = key(
        "User of the application's processes. Only when started as root, and never root.",
        example="blog",
        default=None,
        default_doc="the owner of the startup file, or `default_user` if that is root",
    )
    group: str | None = key(
        "Group of the application's processes.",
        default=None,
        example="blog",
        default_doc="the primary group of the user",
    )
    spawn_method: str | None = key(
        "How processes are started. `smart`: a preloader loads the application once and forks, which is fast and "
        "shares memory. `direct`: each one from scratch.",
        default=None,
        choices=("smart", "direct"),
        example="direct",
        default_doc="`smart` where there is a preloader for the kind of application",
    )
    max_preloader_idle_time: float = key(
        "A preloader that was not needed for this long is stopped, and started again when it is needed. `0s` = never.",
        default=300.0,
        unit="duration",
        reload="live",
    )
    load_shell_envvars: bool = key(
        "Start the application through the login shell of its user, so that its profile sets variables.", default=False
    )
    start_timeout: float = key(
        "A process must be ready within this time.", default=90.0, unit="duration", minimum=0.1, reload="live"
    )
    shutdown_timeout: float = key(
        "A process that was told to stop gets this long before it is killed.",
        default=60.0,
        unit="duration",
        minimum=0.1,
        reload="live",
    )
    min_instances: int = key(
        "Processes that are started at once and kept while idle.", default=1, minimum=0, reload="live"
    )
    max_instances: int | None = key(
        "Most processes of this application.",
        default=None,
        minimum=1,
        reload="live",
        example=4,
        default_doc="`max_pool_size`",
    )
    thread_count: int = key(
        "Requests that one process of a WSGI or Rack application handles at the same time, in threads.",
        default=1,
        minimum=1,
        maximum=1024,
    )
    force_max_concurrent_requests_per_process: int | None = key(
        "Requests that one process of a type that speaks HTTP gets at the same time; further processes are started for "
        "more. 0 = no limit.",
        default=None,
        minimum=0,
        maximum=1_000_000,
        example=50,
        default_doc="no limit; what a loader of others announces",
    )
    max_request_queue_size: int = key(
        "Requests that may wait for a process; further ones are answered 503. 0 = no limit.",
        default=100,
        minimum=0,
        reload="live",
    )
    response_timeout: float = key(
        "The application must begin its response within this time, else the client is answered 504. `0s` = no limit.",
        default=600.0,
        unit="duration",
        reload="live",
    )
    friendly_error_pages: bool | None = key(
        "Show clients what went wrong when the application cannot be started.",
        example=False,
        default=None,
        reload="live",
        default_doc="on when `app_env` is `development`",
    )
    env: Mapping[str, EnvValue] = key(
        'Environment variables of the application. A value may be `{ file = "..." }` (a secret, one trailing newline '
        'removed) or `{ env = "NAME", default = "..." }`.',
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole, valid configuration."""

    config_version: int = key("Version of the file format.", minimum=1, maximum=1, example=1)
    instances: Mapping[str, Instance] = key("Instances, by name.", default=NO_TABLE)
    apps: Mapping[str, App] = key("Applications, by name.", default=NO_TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceConfig:
    """What one instance is started with: itself and its applications (`App.instance` == `name` for all of them)."""

    name: str
    instance: Instance
    apps: Mapping[str, App]


def of_instance(config: Config, name: str) -> InstanceConfig:
    """The part of a configuration that concerns one instance. Raises KeyError for an unknown name."""
    apps = {app_name: app for app_name, app in config.apps.items() if app.instance == name}
    return InstanceConfig(name=name, instance=config.instances[name], apps=MappingProxyType(apps))
