"""What a new configuration means for the groups that run: which stay, change in place, are replaced, come and go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from passenger.config.declare import key_of
from passenger.config.model import App
from passenger.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of applications, each in one list, in the order of the configuration."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    rolled: tuple[str, ...] = ()
    """A key changed that a running process cannot take over: its processes are replaced."""
    changed: tuple[str, ...] = ()
    """Only keys changed that apply at once."""
    unchanged: tuple[str, ...] = ()

    def report(self) -> dict[str, list[str]]:
        """The lists by the words of `passenger reload`."""
        return {
            "added": list(self.added),
            "removed": list(self.removed),
            "rolling": list(self.rolled),
            "changed": list(self.changed),
            "unchanged": list(self.unchanged),
        }


def compare(old: Mapping[str, App], new: Mapping[str, App], *, again: Collection[str] = ()) -> Changes:
    """Sort the applications by what has to happen to them; the processes of those in `again` are replaced anyway."""
    kept = [name for name in new if name in old]
    rolled = [name for name in kept if name in again or needs_restart(old[name], new[name])]
    changed = [name for name in kept if name not in rolled and old[name] != new[name]]
    return Changes(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        rolled=tuple(rolled),
        changed=tuple(changed),
        unchanged=tuple(name for name in kept if name not in rolled and name not in changed),
    )


def needs_restart(old: Any, new: Any) -> bool:
    """Whether a key of reload class `restart` differs; tables of keys (`[apps.X.nginx]`) are looked into."""
    for declared in fields(old):
        before, after = getattr(old, declared.name), getattr(new, declared.name)
        if before == after:
            continue
        if is_dataclass(before) and is_dataclass(after):
            if needs_restart(before, after):
                return True
        elif key_of(declared).reload == "restart":
            return True
    return False


def with_live_keys(old: App, new: App) -> App:
    """The old options with the new values of everything that needs no restart."""
    live = {
        declared.name: getattr(new, declared.name)
        for declared in fields(App)
        if key_of(declared).reload == "live" or is_dataclass(getattr(new, declared.name))
    }
    return replace(old, **live)
