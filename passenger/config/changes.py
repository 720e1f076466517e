"""What differs between two configurations of an instance, key by key, and what has to happen for each key.

Rules.
1. The reload class in the declaration of a key decides; beside it only what nginx is told (NGINX_KEYS) is known here.
   A test changes every key alone and holds this file, the rendering and the pool to the same answer.
2. A key of the instance that cannot change while it runs keeps its running value whole (`held_back`): nothing of the
   new one may show anywhere before the instance is started again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, Literal, TypeVar

from passenger.config.declare import key_of
from passenger.config.diagnostics import Path
from passenger.config.instance import Instance
from passenger.config.model import App, InstanceConfig
from passenger.lazy_dataclass import dataclass

Effect = Literal[
    "applies live",
    "app rolls",
    "app starts",
    "app ends",
    "nginx reloads",
    "listeners change",
    "instance restart needed",
]

NGINX_KEYS: Final = frozenset({
    "app_root", "app_start_command", "app_type", "base_uri", "cache", "document_root", "entry_point", "nginx",
    "response_timeout", "server_names", "start_timeout", "startup_file",
})  # fmt: skip
"""Keys and tables of an application that the rendered files of the web server depend on."""

INSTANCE_NGINX: Final = (("admin",), ("nginx",))
"""Tables of an instance of which nothing but they depend."""

INSTANCE_BOTH: Final = (("log_level",), ("watchdog", "drain_delay"), ("watchdog", "drain_timeout"))
"""Keys of an instance that others follow, too."""

LISTEN_KEYS: Final = frozenset({("nginx", "listen"), ("admin", "listen")})

CORE_ONLY: Final = (("admin", "actions"), ("admin", "token"))
"""Keys in tables of nginx's that it knows nothing of."""

UNMOVABLE: Final = ("registry_dir",)
"""Not held back: a reload that would move the instance is refused by who knows where it is."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """One key; None = the application, variable or value is not there."""

    path: Path
    old: Any
    new: Any
    effects: tuple[Effect, ...]


def compare(running: InstanceConfig, offered: InstanceConfig) -> list[Change]:
    """Every difference, in the order of the model; applications that come or go are one change each."""
    has_server = running.instance.nginx.mode != "off"
    found = []
    for path, old, new, reload in _differences(running.instance, offered.instance, ()):
        effects = _of_instance(path, reload, old, new)
        found.append(Change(("instances", running.name, *path), old, new, effects))
    for name, app in offered.apps.items():
        if name not in running.apps:
            found.append(Change(("apps", name), None, app, _with_server(("app starts",), has_server)))
            continue
        for path, old, new, reload in _differences(running.apps[name], app, ()):
            effects = ("app rolls",) if reload == "restart" else ("applies live",)
            shown = _with_server(effects, has_server and path[0] in NGINX_KEYS)
            found.append(Change(("apps", name, *path), old, new, shown))
    for name, app in running.apps.items():
        if name not in offered.apps:
            found.append(Change(("apps", name), app, None, _with_server(("app ends",), has_server)))
    return found


def held_back(running: InstanceConfig, offered: InstanceConfig) -> tuple[InstanceConfig, list[str]]:
    """What can be applied now, and the names of the keys whose new values have to wait for a start of the instance."""
    waiting = [
        ".".join(map(str, change.path))
        for change in compare(running, offered)
        if "instance restart needed" in change.effects and change.path[-1] not in UNMOVABLE
    ]
    instance = replace(
        _kept(running.instance, offered.instance),
        **{name: getattr(offered.instance, name) for name in UNMOVABLE},
    )
    return replace(offered, instance=instance), waiting


def _kept(old: T, new: T) -> T:
    """`new` with the old values of keys of class `restart`, in tables too."""
    values = {}
    for declared in fields(new):  # type: ignore[arg-type]
        before, after = getattr(old, declared.name), getattr(new, declared.name)
        if is_dataclass(after):
            values[declared.name] = _kept(before, after)
        else:
            values[declared.name] = before if key_of(declared).reload == "restart" else after
    return replace(new, **values)  # type: ignore[type-var]


def _differences(old: Instance | App | Any, new: Any, path: Path) -> Iterator[tuple[Path, Any, Any, str]]:
    for declared in fields(old):
        before, after = getattr(old, declared.name), getattr(new, declared.name)
        here = (*path, declared.name)
        if before == after:
            continue
        if is_dataclass(before) and is_dataclass(after):
            yield from _differences(before, after, here)
        elif isinstance(before, Mapping):
            for name in dict.fromkeys((*before, *after)):
                if before.get(name) != after.get(name):
                    yield (*here, name), before.get(name), after.get(name), key_of(declared).reload
        else:
            yield here, before, after, key_of(declared).reload


def _of_instance(path: Path, reload: str, old: Any, new: Any) -> tuple[Effect, ...]:
    if reload == "restart":
        return ("instance restart needed",)
    if path in LISTEN_KEYS:
        return ("nginx reloads",) if _addresses(old) == _addresses(new) else ("listeners change", "nginx reloads")
    if path[:1] in INSTANCE_NGINX and path not in CORE_ONLY:
        return ("nginx reloads",)
    return ("applies live", "nginx reloads") if path in INSTANCE_BOTH else ("applies live",)


def _addresses(listen: Any) -> list[str]:
    """The addresses of `nginx.listen` or `admin.listen`."""
    if listen is None or isinstance(listen, str):
        return [listen or ""]
    return [listener.address for listener in listen]


def _with_server(effects: tuple[Effect, ...], is_concerned: bool) -> tuple[Effect, ...]:  # noqa: FBT001
    return (*effects, "nginx reloads") if is_concerned else effects
