"""Which files of systemd's stand for what an operator chose, and what has to be done to a folder for that. Pure.

Rules.
1. Only files that carry our mark are replaced or removed; any other in their place is an error, not overwritten.
2. What was placed and is not chosen any more goes: running the command again is how a choice is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from passenger.errors import HostError
from passenger.systemd import units

SERVICE = "passenger.service"
SOCKET = "passenger.socket"


class Change(NamedTuple):
    """One file that has to be written, or (`text` None) removed."""

    path: str
    """Below the folder of units."""
    text: str | None
    what: Literal["new", "changed", "removed"]


def possible() -> list[str]:
    """Every path that may ever be placed."""
    dropins = [units.dropin_path(SERVICE, name) for name in units.DROPINS]
    return [SERVICE, "passenger@.service", SOCKET, "passenger.slice", *dropins]


def wanted(settings: units.Settings, *, addresses: Sequence[str] | None, dropins: Sequence[str]) -> dict[str, str]:
    """Path -> text of every file; a socket only with addresses."""
    files = {
        SERVICE: units.service(settings),
        "passenger@.service": units.template(settings),
        "passenger.slice": units.slice_of_all(),
    }
    if addresses is not None:
        files[SOCKET] = units.socket(addresses)
    return files | {units.dropin_path(SERVICE, name): units.dropin(name) for name in dropins}


def changes(present: Mapping[str, str], chosen: Mapping[str, str], *, folder: str) -> list[Change]:
    """From what lies there (path -> text, of those `possible`) to what is chosen. Raises HostError."""
    for path, text in present.items():
        if not text.startswith(units.MARK):
            raise HostError(
                f"{folder}/{path} was not written by Passenger: it is left as it is, and nothing was changed",
                hint="put what you need of it into a drop-in (`systemctl edit`), remove it, and try again",
            )
    written = [
        Change(path, text, "changed" if path in present else "new")
        for path, text in chosen.items()
        if present.get(path) != text
    ]
    return written + [Change(path, None, "removed") for path in present if path not in chosen]
