"""How the command line looks at applications through the spawner's eyes: its context, and who they run as."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from passenger import __version__
from passenger.config.paths import instance_paths
from passenger.errors import PassengerError
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.spec import SpawnContext, system_context, work_out

if TYPE_CHECKING:
    from passenger.config.model import InstanceConfig
    from passenger.posix.users import Identity


def spawn_context(config: InstanceConfig) -> SpawnContext:
    """What a core of this instance would hand to its spawner on this machine."""
    core = config.instance.core
    return system_context(
        socket_dir=instance_paths(config, environ=os.environ, euid=os.geteuid()).apps,
        version=__version__,
        log_level=config.instance.log_level,
        default_user=core.default_user,
        default_group=core.default_group,
    )


def app_identity(name: str, config: InstanceConfig) -> Identity | None:
    """Who the application would run as if it were started now; None when that cannot be said.

    The spawner says what is wrong then, on the application's own error page.
    """
    try:
        return work_out(name, config.apps[name], spawn_context(config)).identity
    except (SpawnFailure, PassengerError):
        return None
