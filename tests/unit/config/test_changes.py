"""Every key of the model, changed alone: its reload class, the rendered files and the pool are of one mind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, replace
from types import MappingProxyType
from typing import Any

import pytest

from passenger.config.changes import compare, held_back
from passenger.config.instance import Admin, Instance, Listener
from passenger.config.keys import KeySpec, keys_of
from passenger.config.model import App, EnvValue, InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.pool.reload import compare as pool_compare
from passenger.pool.reload import with_live_keys
from passenger.webserver import render

OTHERS: dict[str, Any] = {
    "instance": "other",
    "base_uri": "/x",
    "worker_processes": 7,
    "startup_file": "/srv/a/app.js",
    "app_start_command": "./server",
    "response_timeout": 70.0,
    "server_names": ("b.test",),
    "trusted_proxies": ("10.0.0.0/8",),
    "listen": (Listener(address="127.0.0.1:9000"),),
    "access_log": "/var/log/x.log",
    "web_server": "apache",
}
"""Values that cannot be made from the declaration alone."""


def other(spec: KeySpec, value: Any) -> Any:
    """A valid value that is not this one."""
    if spec.name in OTHERS and (spec.name, spec.kind) != ("listen", "string"):
        return OTHERS[spec.name]
    if spec.key.choices:
        return next(choice for choice in spec.key.choices if choice != value)
    match spec.kind:
        case "boolean":
            return not value
        case "integer" | "count":
            return (value if isinstance(value, int) else int(spec.key.minimum or 0)) + 1
        case "duration":
            return (value or 0.0) + 1.5
        case "size":
            return (value or 0) + 1024 * 1024
        case "env":
            return MappingProxyType({"NAME": EnvValue("x")})
        case "strings":
            return (*(value or ()), "x")
        case "integers":
            return (1,)
        case "path":
            return "/srv/other"
    return spec.key.example


def variants(table: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], KeySpec, Any]]:
    """(path, key, the whole table with another value there) for every key of a table and of the tables in it."""
    kind: type = type(table)
    for name, spec in keys_of(kind).items():
        value = getattr(table, name)
        if spec.kind == "table":
            for inner, inner_spec, changed in variants(value, (*path, name)):
                yield inner, inner_spec, replace(table, **{name: changed})
        else:
            found = other(spec, None if value is MISSING else value)
            assert found != value, name
            yield (*path, name), spec, replace(table, **{name: found})


APP = App(instance="main", app_root="/srv/a", server_names=("a.test",), response_timeout=60.0)
CONFIG = InstanceConfig(
    name="main", instance=Instance(admin=Admin(listen="127.0.0.1:9181")), apps=MappingProxyType({"a": APP})
)
APPS = [("a", *variant) for variant in variants(APP) if variant[0] != ("instance",)]
INSTANCES = [("", *variant) for variant in variants(CONFIG.instance)]


def with_app(app: App) -> InstanceConfig:
    return replace(CONFIG, apps=MappingProxyType({"a": app}))


def files(config: InstanceConfig) -> dict[str, str]:
    """What nginx would get."""
    return render(
        config,
        paths=InstancePaths(root="/run/p/main"),
        connect_secret="s",
        workers=config.instance.nginx.worker_processes or 2,
        user=None,
        group=None,
        is_folder=lambda _: True,
        exists=lambda path: path == "/srv/a/passenger_wsgi.py",
    )


@pytest.mark.parametrize(("_name", "path", "spec", "changed"), APPS, ids=[".".join(case[1]) for case in APPS])
def test_key_of_an_application(_name: str, path: tuple[str, ...], spec: KeySpec, changed: App) -> None:
    """A `live` one leaves the processes, a `restart` one replaces them; nginx is told when its files change."""
    config = with_app(changed)
    (change,) = compare(CONFIG, config)
    assert change.path[:3] == ("apps", "a", path[0])
    assert ("app rolls" in change.effects) == (spec.key.reload == "restart")
    assert ("applies live" in change.effects) == (spec.key.reload == "live")
    sorted_by_pool = pool_compare(CONFIG.apps, config.apps)
    assert sorted_by_pool.rolled == (("a",) if spec.key.reload == "restart" else ())
    assert sorted_by_pool.changed == (("a",) if spec.key.reload == "live" else ())
    if len(path) == 1:
        assert (with_live_keys(APP, changed) == changed) == (spec.key.reload == "live")
    assert ("nginx reloads" in change.effects) >= (files(config) != files(CONFIG))
    assert held_back(CONFIG, config) == (config, [])


@pytest.mark.parametrize(("_name", "path", "spec", "changed"), INSTANCES, ids=[".".join(case[1]) for case in INSTANCES])
def test_key_of_an_instance(_name: str, path: tuple[str, ...], spec: KeySpec, changed: Instance) -> None:
    """A `live` one is taken over; a `restart` one is reported, and nothing of it shows before the next start."""
    config = replace(CONFIG, instance=changed)
    (change,) = compare(CONFIG, config)
    below = ("NAME",) if spec.kind == "env" else ()
    assert change.path == ("instances", "main", *path, *below)
    applied, waiting = held_back(CONFIG, config)
    if spec.key.reload == "live":
        assert (applied, waiting) == (config, [])
        assert ("nginx reloads" in change.effects) == (files(config) != files(CONFIG))
        assert change.effects
    elif path != ("registry_dir",):
        assert change.effects == ("instance restart needed",)
        assert (applied, waiting) == (CONFIG, [".".join(("instances", "main", *path))])


def test_applications_that_come_and_go_are_one_change_each() -> None:
    """A name that is given to other processes is another application."""
    config = replace(CONFIG, apps=MappingProxyType({"b": APP}))
    assert [(change.path, change.effects) for change in compare(CONFIG, config)] == [
        (("apps", "b"), ("app starts", "nginx reloads")),
        (("apps", "a"), ("app ends", "nginx reloads")),
    ]


def test_variables_are_compared_one_by_one() -> None:
    """A changed secret is a change, like a changed value, a new variable and one that is gone."""
    old = {"SAME": EnvValue("1"), "KEY": EnvValue("sesame", secret=True), "GONE": EnvValue("x")}
    new = {"SAME": EnvValue("1"), "KEY": EnvValue("other", secret=True), "NEW": EnvValue("y")}
    found = compare(
        with_app(replace(APP, env=MappingProxyType(old))), with_app(replace(APP, env=MappingProxyType(new)))
    )
    assert [change.path[-1] for change in found] == ["KEY", "GONE", "NEW"]
    assert {change.effects for change in found} == {("app rolls",)}


def test_listeners_of_other_addresses_are_told_from_other_files_of_the_same() -> None:
    """A new certificate needs no new socket."""

    def listening(**fields: Any) -> InstanceConfig:
        nginx = replace(CONFIG.instance.nginx, listen=(Listener(**fields),))
        return replace(CONFIG, instance=replace(CONFIG.instance, nginx=nginx))

    plain = listening(address="127.0.0.1:1")
    tls = listening(address="127.0.0.1:1", tls_certificate="/c", tls_certificate_key="/k")
    assert compare(plain, tls)[0].effects == ("nginx reloads",)
    assert compare(plain, listening(address="127.0.0.1:2"))[0].effects == ("listeners change", "nginx reloads")


def test_without_a_web_server_nothing_of_it_is_said() -> None:
    """Mode `off`."""
    off = replace(CONFIG, instance=replace(CONFIG.instance, nginx=replace(CONFIG.instance.nginx, mode="off")))
    moved = replace(off, apps=MappingProxyType({"a": replace(APP, server_names=("c.test",))}))
    assert compare(off, moved)[0].effects == ("applies live",)
