"""Which running instance a command means.

Rules.
1. Without `--registry`, the caller's own registry is searched first, then root's: `passenger status` of an ordinary
   user finds the system's instance and is told if it may not ask it.
2. None: exit status 3. Several and none chosen: exit status 3, with the list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from passenger.config.paths import registry_dir
from passenger.instance.registry import InstanceRecord, find_instances, select

ROOT_UID = 0


def running_instances(registry: str | None, *, environ: Mapping[str, str] | None = None) -> list[InstanceRecord]:
    """Every instance of the registries that this user's commands look at."""
    environ = os.environ if environ is None else environ
    euid = os.geteuid()
    if registry is not None:
        return find_instances(str(Path(registry).absolute()), environ, euid)
    places = dict.fromkeys(
        (registry_dir(None, environ=environ, euid=euid), registry_dir(None, environ={}, euid=ROOT_UID))
    )
    return [record for place in places for record in find_instances(place, environ, euid)]


def chosen_instance(name: str | None, registry: str | None) -> InstanceRecord:
    """The instance that is meant. Raises InstanceSelectionError."""
    return select(running_instances(registry), name)
