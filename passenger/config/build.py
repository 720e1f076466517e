"""From a document of the right shape to the frozen `Config`: defaults, units, absolute paths.

Rules.
1. `[defaults]` lies below every application: the application's own key wins, tables merge key by key.
2. A relative path starts at the folder of the file that holds it; an application's `startup_file`, interpreters,
   `meteor_app_settings`, `document_root` and `custom_error_page` start at its `app_root`. A program name without a
   slash stays and is looked up in PATH.
3. What is wrong elsewhere does not stop the rest: a bad value counts as not given, and the table it stands in is named
   in `broken`, so that later stages draw no conclusions from it.
4. The variables of env files lie below those of `env`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from passenger.config.diagnostics import Path
from passenger.config.document import Document
from passenger.config.env_files import EnvFiles
from passenger.config.findings import Findings
from passenger.config.instance import Instance, Listener
from passenger.config.keys import KeySpec, keys_of
from passenger.config.model import App, Config, EnvValue
from passenger.config.values import Values, absolute
from passenger.lazy_dataclass import dataclass

IMPLIED_INSTANCE: Final = "main"
"""The instance of a file that names none."""

INTERPRETERS: Final = ("python", "ruby", "nodejs")

Layer = tuple[Path, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Built:
    """A configuration and the parts of it that lack a value because of an error."""

    config: Config
    broken: frozenset[Path]
    """Tables and keys in which something was wrong, such as `("apps", NAME)` for anything in that application."""

    def is_whole(self, *path: str | int) -> bool:
        """Whether nothing was wrong at a path or below it."""
        return path not in self.broken


def build(document: Document, findings: Findings, *, read_env_files: bool = True) -> Built:
    """Make the model value; values that do not fit are reported."""
    return _Builder(document, findings, EnvFiles(findings) if read_env_files else None).build()


class _Builder:
    def __init__(self, document: Document, findings: Findings, env_files: EnvFiles | None) -> None:
        self._document = document
        self._env_files = env_files
        self._findings = findings
        bad = {item.path for item in findings.found if item.severity == "error"} | set(document.unresolved)
        self._bad = {path[:size] for path in bad for size in range(1, len(path) + 1)}
        self._values = Values(document, findings)

    def build(self) -> Built:
        instances = self._instances()
        apps = self._apps(next(iter(instances)) if len(instances) == 1 else None)
        config = Config(config_version=1, instances=MappingProxyType(instances), apps=MappingProxyType(apps))
        return Built(config=config, broken=self._broken())

    def _broken(self) -> frozenset[Path]:
        errors = [item.path for item in self._findings.found if item.severity == "error"]
        paths = (*errors, *self._document.unresolved)
        broken: set[Path] = {path[:size] for path in paths for size in range(2, len(path) + 1)}
        if any(path[:1] == ("defaults",) for path in errors):
            broken |= {("apps", name) for name in self._table_of("apps")}
        return frozenset(broken)

    def _table_of(self, name: str) -> Mapping[str, Any]:
        found = self._document.data.get(name)
        return found if isinstance(found, dict) else {}

    def _instances(self) -> dict[str, Instance]:
        named = {name: table for name, table in self._table_of("instances").items() if isinstance(table, dict)}
        if not self._table_of("instances"):
            named = {IMPLIED_INSTANCE: {}}
        return {name: Instance(**self._fields(Instance, ((("instances", name), t),))) for name, t in named.items()}

    def _apps(self, only_instance: str | None) -> dict[str, App]:
        shared: Layer = (("defaults",), self._table_of("defaults"))
        apps = {}
        for name, table in self._table_of("apps").items():
            if not isinstance(table, dict):
                continue
            fields = self._fields(App, ((("apps", name), table), shared))
            if "app_root" not in fields:
                continue
            fields.setdefault("instance", only_instance)
            if self._env_files is not None and (files := fields.get("env_files")):
                key = (*(("apps", name) if "env_files" in table else ("defaults",)), "env_files")
                fields["env"] = MappingProxyType({**self._env_files.values(files, key), **fields["env"]})
            apps[name] = App(**_below_root(fields))
        return apps

    def _fields(self, table: type, layers: tuple[Layer, ...]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        given = {name for _, layer in layers for name in layer}
        for name, spec in keys_of(table).items():
            if name not in given and spec.kind != "env":
                if spec.kind == "table":
                    fields[name] = spec.default
            elif spec.kind == "table" and spec.table:
                inner = self._inner(name, layers)
                fields[name] = spec.table(**self._fields(spec.table, inner)) if inner else spec.default
            elif spec.kind == "env":
                fields[name] = self._env(self._inner(name, layers))
            else:
                self._take(fields, spec, layers)
        return fields

    def _take(self, fields: dict[str, Any], spec: KeySpec, layers: tuple[Layer, ...]) -> None:
        for at, table in layers:
            if spec.name not in table:
                continue
            path = (*at, spec.name)
            value = table[spec.name]
            if path not in self._bad and not self._findings.is_unread(path):
                listeners = spec.kind == "listeners"
                fields[spec.name] = self._listeners(path, value) if listeners else self._values.read(spec, path, value)
            elif spec.kind == "listeners" and isinstance(value, list):
                self._listeners(path, value)  # what is wrong with the others is said too
            return

    def _inner(self, name: str, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        return tuple(((*at, name), table[name]) for at, table in layers if isinstance(table.get(name), dict))

    def _env(self, layers: tuple[Layer, ...]) -> Mapping[str, EnvValue]:
        merged: dict[str, EnvValue] = {}
        for at, table in reversed(layers):
            for name, value in table.items():
                path = (*at, name)
                if isinstance(value, str) and path not in self._bad:
                    merged[name] = EnvValue(value, secret=self._document.is_secret(path))
        return MappingProxyType(merged)

    def _listeners(self, path: Path, items: list[Any]) -> tuple[Listener, ...]:
        listeners = []
        for index, item in enumerate(items):
            here = (*path, index)
            if isinstance(item, dict):
                fields = self._fields(Listener, ((here, item),))
            elif here not in self._bad and not self._findings.is_unread(here):
                fields = {"address": self._values.read(keys_of(Listener)["address"], here, item)}
            else:
                continue
            if "address" in fields:
                listeners.append(Listener(**fields))
        return tuple(listeners)


def _below_root(fields: dict[str, Any]) -> dict[str, Any]:
    root = fields["app_root"]
    if document_root := fields.get("document_root"):
        fields["document_root"] = absolute(root, document_root)
    if page := fields.get("custom_error_page"):
        fields["custom_error_page"] = absolute(root, page)
    if startup_file := fields.get("startup_file"):
        fields["startup_file"] = absolute(root, startup_file)
    for interpreter in INTERPRETERS:
        if (program := fields.get(interpreter)) and "/" in program:
            fields[interpreter] = absolute(root, program)
    if settings := fields.get("meteor_app_settings"):
        fields["meteor_app_settings"] = absolute(root, settings)
    return fields


def with_apps(config: Config, names: frozenset[str]) -> Config:
    """The same configuration with some of its applications only."""
    apps = {name: app for name, app in config.apps.items() if name in names}
    return replace(config, apps=MappingProxyType(apps))
