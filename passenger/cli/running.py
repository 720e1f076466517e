"""Which running instance a command means.

Rules.
1. `--registry`, else `PASSENGER_INSTANCE_REGISTRY_DIR`, is the only place that is searched. Without both, it is the
   caller's own registry, root's, and those beside it that services `passenger@NAME` have: `passenger status` of an
   ordinary user finds the system's instance, and is told if it may not ask it.
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
    return [record for place in registries(registry, environ, euid) for record in find_instances(place, environ, euid)]


def registries(named: str | None, environ: Mapping[str, str], euid: int, *, run: Path = Path("/run")) -> list[str]:
    """The folders to search, in order, each once."""
    if named is not None:
        return [str(Path(named).absolute())]
    own = registry_dir(None, environ=environ, euid=euid)
    if environ.get("PASSENGER_INSTANCE_REGISTRY_DIR"):
        return [own]
    system = registry_dir(None, environ={}, euid=ROOT_UID)
    of_services = sorted(map(str, run.glob(f"{Path(system).name}-*")))
    return list(dict.fromkeys((own, system, *of_services)))


def chosen_instance(name: str | None, registry: str | None) -> InstanceRecord:
    """The instance that is meant. Raises InstanceSelectionError."""
    return select(running_instances(registry), name)
