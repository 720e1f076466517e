"""Starts under way: one task per process that is being started, and the spawners they use.

Rules.
1. Every start that is not called off ends in exactly one event, Ready or SpawnFailed, whatever the spawner does.
2. A spawner is closed only after the starts that use it are over.
3. A start that is to replace a process has a limit of its own: a restart never stands still (`Spawning.limit`).
4. With a `health_path`, a process that is ready but not healthy has failed to start, and is ended.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from passenger.clock import Clock
from passenger.config.model import App
from passenger.pool.events import Ready, SpawnFailed
from passenger.pool.journal import Journal
from passenger.pool.model import Generation, Spawning
from passenger.pool.spawners import Spawners
from passenger.spawn.spawner import Exit, RunningProcess, Spawner, SpawnerFactory, SpawnError

CheckHealth = Callable[[RunningProcess, App], Coroutine[Any, Any, str]]
"""Waits until a process that is ready is healthy, too; answers with "", or why it is not. Has a deadline of its own."""


def new_error(summary: str, category: str) -> SpawnError:
    """An error that the pool itself noticed, with an id that joins page, log line and status."""
    return SpawnError(summary, category=category, error_id=secrets.token_hex(8))


class Starts:
    """Carries out starts; `report` is told how each ended."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        factory: SpawnerFactory,
        journal: Journal,
        report: Callable[[Ready | SpawnFailed], None],
        check_health: CheckHealth | None = None,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._journal = journal
        self._report = report
        self._check_health = check_health
        self._spawners = Spawners(factory, self._close_spawner)
        self._tasks: dict[Spawning, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def begin(self, spawning: Spawning) -> None:
        """Start a process."""
        self._journal.spawning(spawning)
        task = self._tasks[spawning] = self._loop.create_task(self._run(spawning))
        task.add_done_callback(lambda _: self._is_over(spawning))

    def call_off(self, spawning: Spawning) -> None:
        """Cancel a start; the spawner kills what it has started. Does nothing when it is over."""
        task = self._tasks.get(spawning)
        if task is not None:
            self._journal.called_off(spawning)
            task.cancel()

    def retire(self, generation: Generation) -> None:
        """Nothing more will be started with these options."""
        self._spawners.retire(generation)

    def take_over(self, generation: Generation) -> None:
        """Live keys of these options have changed."""
        self._spawners.take_over(generation)

    def keep_loaded(self, generation: Generation) -> None:
        """A preloader with these options stays, however long it is idle."""
        self._spawners.keep_loaded(generation)

    def preloader_of(self, generation: Generation) -> int | None:
        """The pid of the preloader from which processes with these options are forked."""
        return self._spawners.preloader_of(generation)

    async def settled(self, patience: float) -> None:
        """Wait for starts that were called off and spawners that are being closed, at most `patience` seconds."""
        if tasks := [*self._tasks.values(), *self._closing]:
            await asyncio.wait(tasks, timeout=patience)
        if self._closing:
            await asyncio.wait(self._closing, timeout=patience)

    async def _run(self, spawning: Spawning) -> None:
        event: Ready | SpawnFailed
        try:
            async with asyncio.timeout(spawning.limit()):
                running = await self._spawners.borrow(spawning).spawn()
                if self._check_health is not None and spawning.generation.app.health_path is not None:
                    await self._until_healthy(spawning, running, self._check_health)
        except SpawnError as error:
            event = SpawnFailed(spawning, error, self._clock.wall())
        except TimeoutError:
            late = new_error(f"not ready within {spawning.limit():g} seconds", "step-timeout")
            self._journal.start_failed(spawning, late)
            event = SpawnFailed(spawning, late, self._clock.wall())
        except Exception as error:  # a broken spawner must not leave a start open for ever
            failure = new_error(f"internal error while starting: {type(error).__name__}: {error}", "internal")
            self._journal.spawner_broke(spawning, failure, error)
            event = SpawnFailed(spawning, failure, self._clock.wall())
        else:
            event = Ready(spawning, running)
        if isinstance(event, SpawnFailed):
            self._journal.could_not_start(spawning, event.error)
        self._report(event)

    async def _until_healthy(self, spawning: Spawning, running: RunningProcess, check_health: CheckHealth) -> None:
        """Raises SpawnError for a process that is not, after it was ended."""
        check = self._loop.create_task(check_health(running, spawning.generation.app))
        has_ended: list[Exit] = []

        def ended(exit_: Exit) -> None:
            has_ended.append(exit_)
            check.cancel()

        running.when_exited(ended)
        trouble = "it was not asked to the end"
        try:
            await asyncio.wait([check])
            trouble = f"it {has_ended[0]}" if has_ended else check.result()
        finally:
            if trouble:
                check.cancel()
                running.when_exited(lambda _: running.dispose())
                running.kill()
        if trouble:
            error = new_error(f"the new process {running.pid} is not healthy: {trouble}", "unhealthy")
            self._journal.start_failed(spawning, error)
            raise error

    def _is_over(self, spawning: Spawning) -> None:
        del self._tasks[spawning]
        self._spawners.give_back(spawning)

    def _close_spawner(self, spawner: Spawner) -> None:
        task = self._loop.create_task(self._close(spawner))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, spawner: Spawner) -> None:
        try:
            await spawner.close()
        except Exception as error:  # what it held is lost to us either way
            self._journal.close_failed(error)
