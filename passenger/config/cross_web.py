"""Keys about the web server that contradict each other, or that the chosen one has no counterpart for.

Rule: a key that was written down and cannot be honoured is an error that says so; a default is not.
"""

from __future__ import annotations

from typing import Final

from passenger.config.build import Built
from passenger.config.cross import app_key
from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.findings import Findings, Place
from passenger.config.instance import Instance
from passenger.config.model import App
from passenger.log import printable

APACHE: Final = "apache"

_WITHOUT_COUNTERPART: Final = {
    "retry_on_core_crash": "a request that meets a crashed core is answered 502",
    "trusted_proxies": "use mod_remoteip in the Apache itself",
}
"""Keys of `[instances.NAME.nginx]` -> what happens instead."""

_STREAMS: Final = ("request_buffering", "response_buffering")
"""Keys of `[apps.NAME.nginx]` that Apache can only honour when they are off."""


def check(document: Document, built: Built, findings: Findings) -> None:
    """Report what the web servers of the instances cannot do."""
    for name, instance in built.config.instances.items():
        if instance.web_server == APACHE and built.is_whole("instances", name):
            _apache(document, name, instance, findings)
    for name, app in built.config.apps.items():
        server = built.config.instances.get(app.instance or "")
        if server is not None and built.is_whole("apps", name):
            _app(document, name, app, server, findings)


def _apache(document: Document, name: str, instance: Instance, findings: Findings) -> None:
    chosen: Path = ("instances", name, "web_server")
    nginx: Path = ("instances", name, "nginx")
    if instance.nginx.mode != "external":
        given = _given(document, (*nginx, "mode"))
        findings.add(
            "E352",
            (*nginx, "mode") if given else chosen,
            "Apache cannot take over listening sockets: an instance renders files for one, it does not run it",
            label='write `"external"`' if given else 'set `nginx.mode = "external"` beside it',
            help="include the rendered file in an Apache of the system; see docs/apache.md",
        )
    for key, instead in _WITHOUT_COUNTERPART.items():
        if _given(document, (*nginx, key)) and getattr(instance.nginx, key):
            _without_effect(findings, (*nginx, key), instead)
    if _given(document, (*nginx, "listen")):
        for index, listener in enumerate(instance.nginx.listen):
            if listener.proxy_protocol:
                path: Path = (*nginx, "listen", index, "proxy_protocol")
                _without_effect(findings, path, "use mod_remoteip in the Apache itself")


def _app(document: Document, name: str, app: App, instance: Instance, findings: Findings) -> None:
    place = app_key(document, name, "cache", "enabled")
    if app.cache.enabled and place is not None:
        if instance.web_server == APACHE:
            _without_effect(findings, place, "use mod_cache in the Apache itself")
        elif instance.nginx.mode == "off":
            findings.add("W350", place, f'app "{printable(name)}" has no nginx that could keep its responses', at="key")
        elif not app.nginx.response_buffering:
            findings.add(
                "E350",
                place,
                f'app "{printable(name)}" has a cache, and `response_buffering` is off',
                at="key",
                label="nginx keeps what went through its buffers only",
                also=_also(app_key(document, name, "nginx", "response_buffering")),
            )
    if instance.web_server == APACHE:
        for key in _STREAMS:
            path = app_key(document, name, "nginx", key)
            if path is not None and getattr(app.nginx, key):
                _without_effect(findings, path, "bodies are passed on as they come")


def _without_effect(findings: Findings, path: Path, instead: str) -> None:
    findings.add("E351", path, f"`{path[-1]}` has no effect with Apache: {instead}", at="key", label="remove it")


def _also(path: Path | None) -> tuple[Place, ...]:
    return () if path is None else ((path, "value", "switched off here"),)


def _given(document: Document, path: Path) -> bool:
    return document.origin(path).kind != "default"
