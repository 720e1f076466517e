"""Which application answers where: host names and base URIs, grouped into what nginx calls servers.

Rules.
1. An application without server names answers for every name that no other application has (the default site).
2. Names that lead to the same applications share one site, so that a thousand names do not make a thousand servers.
3. Names are compared in lower case. One name and base URI belong to one application only.
4. What is not a host name or a base URI by the model's own patterns is refused: `~`, `=`, `@` mean something to nginx.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields

from passenger.config.declare import key_of
from passenger.config.model import App, InstanceConfig
from passenger.config.patterns import NAME_HELP, NAME_PATTERN
from passenger.lazy_dataclass import dataclass
from passenger.webserver.tree import UnrenderableValueError

_KEYS = {declared.name: key_of(declared) for declared in fields(App)}


@dataclass(frozen=True, slots=True)
class Site:
    """Host names that lead to the same applications; no names = the default site."""

    names: tuple[str, ...]
    apps: tuple[tuple[str, str], ...]
    """(base URI, application name), sorted by base URI."""


def sites(config: InstanceConfig) -> list[Site]:
    """Every site, the default one last if there is one. Raises UnrenderableValueError."""
    by_host: dict[str, dict[str, str]] = {}
    for name, app in config.apps.items():
        _check(name, app)
        for host in app.server_names or ("",):
            _claim(by_host.setdefault(host.lower(), {}), app.base_uri, name, host)
    hosts_by_apps: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for host, apps in by_host.items():
        if host:
            hosts_by_apps.setdefault(tuple(sorted(apps.items())), []).append(host)
    found = [Site(names=tuple(hosts), apps=apps) for apps, hosts in hosts_by_apps.items()]
    if default := by_host.get(""):
        found.append(Site(names=(), apps=tuple(sorted(default.items()))))
    return found


def all_names(found: Iterable[Site]) -> frozenset[str]:
    """Every host name that some application has."""
    return frozenset(name for site in found for name in site.names)


def _claim(apps: dict[str, str], base_uri: str, name: str, host: str) -> None:
    if base_uri in apps:
        where = f"{host or 'every other host name'}, base_uri {base_uri}"
        raise UnrenderableValueError(
            f"the applications `{apps[base_uri]}` and `{name}` both answer for {where}",
            hint="give one of them other `server_names` or another `base_uri`",
        )
    apps[base_uri] = name


def check_name(name: str, what: str) -> None:
    """Names of instances and applications become names of upstreams and files. Raises UnrenderableValueError."""
    if not re.fullmatch(NAME_PATTERN.removesuffix("$"), name):
        raise UnrenderableValueError(f"{name!r} cannot be the name of an {what}", hint=f"use {NAME_HELP}")


def _check(name: str, app: App) -> None:
    check_name(name, "application")
    for key, values in (("server_names", app.server_names), ("base_uri", (app.base_uri,))):
        for value in values:
            if not re.fullmatch(_KEYS[key].pattern.removesuffix("$"), value):
                raise UnrenderableValueError(f"apps.{name}.{key}: {value!r} is not {_KEYS[key].pattern_help}")
