"""A valid configuration as plain data again, every default filled in: what `passenger config show` prints.

Rules.
1. The data is a configuration file's: written as TOML and read again, it gives the same configuration (but secrets).
2. A secret value, and that of a key that is always secret, is the text `<secret>`; nothing else about it is said.
3. What env files set is left out: `env_files` names them.
4. Keys that are worked out at run time (default None) are left out: there is nothing true to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from passenger.config.diagnostics import Origin, Path
from passenger.config.instance import Listener
from passenger.config.keys import KeySpec, keys_of
from passenger.config.model import Config, EnvValue
from passenger.config.units import duration_text, size_text

if TYPE_CHECKING:
    from passenger.config.document import Document

SECRET = "<secret>"  # noqa: S105 - what is shown in place of one


def effective(config: Config, document: Document) -> dict[str, Any]:
    """The whole configuration as TOML-able tables, with `<secret>` where a value comes from a secret file."""
    data = _table(config)
    for path, _ in leaves(document.data):
        if document.is_secret(path):
            for place in _places_of(path, document, data):
                _put(data, place)
    return data


def leaves(data: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of the tables with its path; arrays are values."""
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, name))
        elif not isinstance(value, Mapping):
            yield (*path, name), value


def origin_of(path: Path, document: Document) -> Origin:
    """Where a value in effect came from; `[defaults]` stand in for a key that an application does not have."""
    origin = document.origin(path)
    if origin.kind == "default" and path[0] == "apps" and len(path) > 2:
        return document.origin(("defaults", *path[2:]))
    return origin


def _places_of(path: Path, document: Document, data: Mapping[str, Any]) -> list[Path]:
    """Where a secret has an effect: its own place or, in `[defaults]`, every application without a value of its own."""
    if path[0] != "defaults":
        return [path]
    places = [("apps", name, *path[1:]) for name in data["apps"]]
    return [place for place in places if document.origin(place).kind == "default"]


def _put(data: dict[str, Any], path: Path) -> None:
    for step in path[:-1]:
        data = data.setdefault(step, {})  # type: ignore[arg-type]  # no secret stands inside an array
    data[path[-1]] = SECRET  # type: ignore[index]


def _table(table: Any) -> dict[str, Any]:
    shown = {}
    kind: type = type(table)
    for name, spec in keys_of(kind).items():
        value = getattr(table, name)
        if value is not None:
            shown[name] = shown_value(spec, value)
    return shown


def shown_value(spec: KeySpec, value: Any) -> Any:
    """A value of the model as the file would have it."""
    if spec.key.secret:
        return SECRET
    match spec.kind:
        case "duration":
            return duration_text(value)
        case "size":
            return size_text(value)
        case "table":
            return _table(value)
        case "tables":
            return {name: _table(item) for name, item in value.items()}
        case "listeners":
            return [_listener(item) for item in value]
        case "env":
            return {name: _env(item) for name, item in value.items() if not item.origin}
    return list(value) if isinstance(value, tuple) else value


def _listener(listener: Listener) -> Any:
    shown = _table(listener)
    if not listener.proxy_protocol:
        del shown["proxy_protocol"]
    return shown["address"] if set(shown) == {"address"} else shown


def _env(value: EnvValue) -> str:
    return SECRET if value.secret else value.value
