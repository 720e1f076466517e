"""What a conversion has found so far: an instance, its applications, and notes on what is not the same here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from passenger.cli.migration import OPTIONS
from passenger.lazy_dataclass import dataclass


@dataclass(slots=True)
class Converted:
    """A configuration in the making."""

    instance: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def app(self, wanted: str) -> dict[str, Any]:
        """A new application table, named after something."""
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).strip("-_") or "app"
        name, number = base, 2
        while name in self.apps:
            name, number = f"{base}-{number}", number + 1
        return self.apps.setdefault(name, {})

    def join_twins(self, app: dict[str, Any], where: str) -> None:
        """An application that two servers have, one for each port, is one."""
        same = ("app_root", "base_uri", "server_names")
        twins = [
            name
            for name, other in self.apps.items()
            if [other.get(key) for key in same] == [app.get(key) for key in same]
        ]
        if len(twins) > 1:
            if self.apps[twins[0]] != self.apps[twins[1]]:
                self.note(where, f"the application is there already ({twins[0]}), with other settings, which were kept")
            del self.apps[twins[1]]

    def note(self, where: str, what: str) -> None:
        """Something that a reader has to know, said once."""
        if (line := f"{where}: {what}") not in self.notes:
            self.notes.append(line)

    def take(self, option: str, values: list[str], table: dict[str, Any], where: str) -> None:
        """One option of Passenger with its values, for an application or the defaults of all."""
        known = OPTIONS.get(option)
        if known is None:
            self.note(where, f"`{option}` is no option of Passenger that is known here; it was left out")
        elif not known.key:
            self.note(where, f"`{option}` was left out: {known.note}")
        elif known.key == "env":
            put(table, ("env", values[0]), values[1] if len(values) > 1 else "")
        else:
            try:
                value = known.value(" ".join(values))
            except (ValueError, IndexError):
                self.note(where, f"`{option}` was left out: {' '.join(values)!r} is no value of it")
                return
            whole = known.key.removeprefix("instance:")
            put(self.instance if whole != known.key else table, tuple(whole.split(".")), value)
            if known.note:
                self.note(where, f"`{option}` is `{whole}`: {known.note}")

    def document(self) -> dict[str, Any]:
        """The tables of the file."""
        instances = {"instances": {"main": self.instance}} if self.instance else {}
        defaults = {"defaults": self.defaults} if self.defaults else {}
        return {"config_version": 1, **instances, **defaults, "apps": self.apps}


def put(table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value in tables that are made on the way."""
    for step in path[:-1]:
        table = table.setdefault(step, {})
    table[path[-1]] = value


def text_of(value: Any) -> list[str]:
    """A value of JSON as the words that nginx would have."""
    if isinstance(value, bool):
        return ["on" if value else "off"]
    if isinstance(value, list):
        return [",".join(map(str, value))]
    if isinstance(value, Mapping):
        raise TypeError("a table where a value is expected")
    return [str(value)]
