"""Which ports the instances of a configuration hold: taken, but by themselves, or by the service manager for them.

Without it, a file whose instance is running could be neither validated nor reloaded, nor its second instance started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from passenger.cli.running import registries
from passenger.config.model import Config
from passenger.config.ports import Address, OwnPorts
from passenger.instance.registry import find_instances
from passenger.posix.activation import addresses_of, given


def ports_of_file(file: str, *, environ: Mapping[str, str], euid: int) -> OwnPorts:
    """Of the instances that were started from a configuration file (absolute) and still have a place in it."""

    def look(config: Config) -> Mapping[str, frozenset[Address]]:
        folders = {name: registries(i.registry_dir, environ, euid) for name, i in config.instances.items()}
        running = {
            folder: find_instances(folder, environ, euid) for folder in {f for each in folders.values() for f in each}
        }
        held = {
            record.name: frozenset(record.listen)
            for name, places in folders.items()
            for folder in places
            for record in running[folder]
            if record.name == name and is_same_file(file, record.config_files[:1])
        }
        handed = frozenset(addresses_of(given(environ, os.getpid()).listen_fds))
        return {name: held.get(name, frozenset()) | handed for name in config.instances} if handed else held

    return look


def is_same_file(file: str, others: Sequence[str]) -> bool:
    """Whether a file is one of others, however they are spelled."""
    return any(os.path.realpath(file) == os.path.realpath(other) for other in others)
