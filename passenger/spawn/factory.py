"""SpawnerFactory: which spawner starts the processes of an application."""

from __future__ import annotations

import asyncio

from passenger.clock import Clock
from passenger.config import apptypes
from passenger.config.model import App
from passenger.log import Log
from passenger.spawn.direct import DirectSpawner
from passenger.spawn.smart import SmartSpawner
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
        """The spawner for an application: smart where there is a preloader, or where files will tell the type."""
        told = apptypes.told(app)
        has_none = told is not None and told.preloader is None
        kind = DirectSpawner if app.spawn_method == "direct" or has_none else SmartSpawner
        return kind(name=name, app=app, context=self.context, loop=self._loop, clock=self._clock, log=self._log)
