"""The parts of a managed nginx that concern the whole process: main, events, and the defaults of http."""

from __future__ import annotations

from typing import Final

from passenger.config.model import InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.webserver import accesslog
from passenger.webserver.build import Build
from passenger.webserver.locations import CACHED_FILES, file_cache
from passenger.webserver.scgi import on, seconds_text
from passenger.webserver.tree import Directive, Fixed, block, directive

_LEVELS: Final = {"error": "error", "warn": "warn", "info": "warn", "debug": "info"}
"""Ours -> nginx's, whose `info` and `notice` tell every client's departure and every worker's birth."""

_TEMP_PATHS: Final = {
    "client_body_temp_path": "",
    "scgi_temp_path": "",
    "proxy_temp_path": "http_proxy_module",
    "fastcgi_temp_path": "http_fastcgi_module",
    "uwsgi_temp_path": "http_uwsgi_module",
}
"""Directive -> module without which nginx does not know it. nginx makes all of these folders when it starts."""


def main(
    config: InstanceConfig,
    *,
    paths: InstancePaths,
    workers: int,
    user: str | None,
    group: str | None,
    open_files: int | None,
) -> list[Directive]:
    """Everything above `http`. Whether nginx goes into the background is said on its command line."""
    nginx = config.instance.nginx
    wanted = 2 * nginx.worker_connections + CACHED_FILES + 64  # client and core each; static files; logs, listeners
    files = wanted if open_files is None else min(wanted, open_files)
    owner = [Fixed(name) for name in (user, group) if name is not None]
    return [
        *([directive("user", *owner)] if user is not None else []),
        directive("worker_processes", str(workers)),
        directive("worker_rlimit_nofile", str(files)),
        directive("worker_shutdown_timeout", seconds_text(max(config.instance.watchdog.drain_timeout, 1.0))),
        directive("pid", Fixed(f"{paths.nginx}/nginx.pid")),
        directive("error_log", "stderr", _LEVELS[config.instance.log_level]),
        block("events", body=[directive("worker_connections", str(nginx.worker_connections))]),
    ]


def http(config: InstanceConfig, *, paths: InstancePaths, build: Build | None) -> list[Directive]:
    """The defaults of the `http` block."""
    return [
        directive("include", "mime.types"),
        directive("default_type", "application/octet-stream"),
        *accesslog.in_http(config),
        *_temp_paths(paths, build),
        directive("server_tokens", on(config.instance.nginx.server_tokens)),
        directive("sendfile", "on"),
        directive("tcp_nopush", "on"),
        directive("keepalive_timeout", "75s"),
        directive("keepalive_requests", "1000"),
        directive("client_header_timeout", "20s"),
        directive("client_body_timeout", "60s"),
        directive("send_timeout", "60s"),
        directive("reset_timedout_connection", "on"),
        directive("large_client_header_buffers", "4", "16k"),
        directive("client_body_buffer_size", "64k"),
        *file_cache(),
        directive("server_names_hash_max_size", "16384"),
        directive("server_names_hash_bucket_size", "512"),
    ]


def _temp_paths(paths: InstancePaths, build: Build | None) -> list[Directive]:
    return [
        directive(name, Fixed(f"{paths.nginx}/{name.removesuffix('_temp_path')}_temp"))
        for name, module in _TEMP_PATHS.items()
        if build is None or not build.lacks(module)
    ]
