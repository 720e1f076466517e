"""SpawnerFactory: which spawner starts the processes of an application."""

from __future__ import annotations

import asyncio

from passenger.clock import Clock
from passenger.config.model import App
from passenger.log import Log
from passenger.spawn.direct import DirectSpawner
from passenger.spawn.spawner import Spawner
from passenger.spawn.spec import SpawnContext


class AppSpawnerFactory:
    """Implements `SpawnerFactory` for one instance. The context may be exchanged on a reload."""

    def __init__(self, *, context: SpawnContext, loop: asyncio.AbstractEventLoop, clock: Clock, log: Log) -> None:
        self.context = context
        self._loop = loop
        self._clock = clock
        self._log = log

    def spawner_for(self, name: str, app: App) -> Spawner:
        """The spawner for an application; `direct` is the only method there is."""
        return DirectSpawner(
            name=name, app=app, context=self.context, loop=self._loop, clock=self._clock, log=self._log
        )
