"""DirectSpawner: every process is started from scratch, through the whole chain.

Rules.
1. One deadline (`start_timeout`) over everything, from the decision to the checked socket.
2. Whatever goes wrong, nothing of the process stays: its session is killed and reaped before the error is raised.
3. A failed spawn is logged once, here, with the id that error page and status show.
"""

from __future__ import annotations

import asyncio

from passenger.clock import Clock
from passenger.config.model import App
from passenger.log import Log
from passenger.spawn import spec
from passenger.spawn.attempt import Attempt, new_gupid, start_program, too_late
from passenger.spawn.failure import SpawnFailure, log_failure, shortage, spawn_error
from passenger.spawn.journey import PROGRAM, Journey, Step
from passenger.spawn.running import DirectProcess
from passenger.spawn.spawner import SpawnError
from passenger.spawn.spec import SpawnContext
from passenger.wire.spawn import SpawnTalk


class DirectSpawner:
    """Starts processes of one application."""

    preloader_pid: int | None = None
    keeps_preloader = False

    def __init__(
        self, *, name: str, app: App, context: SpawnContext, loop: asyncio.AbstractEventLoop, clock: Clock, log: Log
    ) -> None:
        self._name = name
        self._app = app
        self._context = context
        self._loop = loop
        self._clock = clock
        self._log = log

    def change(self, app: App) -> None:
        """See `Spawner`."""
        self._app = app

    async def spawn(self) -> DirectProcess:
        """Start one process and wait until it is ready. Raises SpawnError."""
        journey = Journey(self._clock, app=self._name, observers=self._context.journey_observers)
        attempt: Attempt[DirectProcess] | None = None
        try:
            async with asyncio.timeout(self._app.start_timeout):
                attempt = start_program(
                    spec.work_out(self._name, self._app, self._context),
                    journey,
                    loop=self._loop,
                    log=self._log,
                    step=Step.EXEC,
                    stages=PROGRAM,
                    talk=SpawnTalk(),
                    gupid=new_gupid(self._clock.wall()),
                )
                announced = attempt.check(await attempt.ready())
        except SpawnFailure as failure:
            raise await self._failed(failure, journey, attempt) from failure
        except TimeoutError:
            late = too_late(journey, self._app.start_timeout)
            raise await self._failed(late, journey, attempt) from None
        except OSError as error:
            raise await self._failed(shortage(error), journey, attempt) from error
        except BaseException:
            if attempt is not None:
                attempt.abandon()
            raise
        journey.finish()
        attempt.finish(announced, journey.seconds())
        return attempt.process

    async def close(self) -> None:
        """Nothing is kept running between spawns."""

    async def _failed(
        self, failure: SpawnFailure, journey: Journey, attempt: Attempt[DirectProcess] | None
    ) -> SpawnError:
        journey.fail()
        output = "" if attempt is None else await attempt.cleaned_up(failure)
        error = spawn_error(self._name, failure, journey, output)
        log_failure(self._log, self._name, error)
        return error
