"""DummySpawner: processes that exist only in memory. For tests, and for the pool's property test.

A test decides what happens: `fail_with` makes the next spawns fail, `hold` keeps them waiting until `let_go`, and each
process ends when its `exit_now` is called, or by itself when it is told to stop (unless `stubborn`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator

from passenger.config.model import App
from passenger.spawn.spawner import AppSocket, Exit, SpawnError


class DummyProcess:
    """Implements `RunningProcess` in memory."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, number: int, concurrency: int, stubborn: bool) -> None:
        self.pid = number
        self.gupid = f"dummy-{number}"
        self.sockets = (AppSocket("main", f"unix:/dummy/{number}", "session", concurrency),)
        self.connect_password = f"password-{number}"
        self.spawn_seconds = 0.0
        self.takes_interrupts = False
        self.takes_errands = True
        self.exit: Exit | None = None
        self.disposed = False
        self.asked: list[str] = []
        """What it was asked to do, in order: "stop", "terminate", "kill", "interrupt NAME", "show stacks"."""
        self._loop = loop
        self._stubborn = stubborn
        self._callbacks: list[Callable[[Exit], None]] = []

    def exit_now(self, status: int | None = 0) -> None:
        """End, unless that has happened already."""
        if self.exit is not None:
            return
        self.exit = Exit(status)
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._loop.call_soon(callback, self.exit)

    def when_exited(self, callback: Callable[[Exit], None]) -> None:
        if self.exit is not None:
            self._loop.call_soon(callback, self.exit)
        else:
            self._callbacks.append(callback)

    def interrupt(self, connection: str) -> bool:
        self.asked.append(f"interrupt {connection}")
        return self.takes_interrupts

    def show_stacks(self) -> None:
        self.asked.append("show stacks")

    def request_stop(self) -> None:
        self._asked("stop", 0)

    def terminate(self) -> None:
        self._asked("terminate", -15)

    def kill(self) -> None:
        self.asked.append("kill")
        self.exit_now(-9)

    def dispose(self) -> None:
        self.disposed = True

    def _asked(self, word: str, status: int) -> None:
        self.asked.append(word)
        if not self._stubborn:
            self.exit_now(status)


class DummySpawner:
    """Starts DummyProcesses of one application."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, numbers: Iterator[int] | None = None, concurrency: int = 1
    ) -> None:
        self.concurrency = concurrency
        self.stubborn = False
        self.fail_with: SpawnError | None = None
        self.spawned: list[DummyProcess] = []
        self.closed = False
        self.preloader_pid: int | None = None
        self.keeps_preloader = False
        self._loop = loop
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self._gate = asyncio.Event()
        self._gate.set()

    def hold(self) -> None:
        """Keep spawns waiting from now on."""
        self._gate.clear()

    def let_go(self) -> None:
        """Let the waiting spawns come to their end."""
        self._gate.set()

    def change(self, app: App) -> None:
        """Nothing here depends on such a key."""

    async def spawn(self) -> DummyProcess:
        await self._gate.wait()
        if self.fail_with is not None:
            raise self.fail_with
        process = DummyProcess(
            loop=self._loop, number=next(self._numbers), concurrency=self.concurrency, stubborn=self.stubborn
        )
        self.spawned.append(process)
        return process

    async def close(self) -> None:
        self.closed = True


class DummySpawnerFactory:
    """Implements `SpawnerFactory`: one DummySpawner per application, kept under its name."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.spawners: dict[str, DummySpawner] = {}
        self._loop = loop
        self._numbers = itertools.count(1)

    def spawner_for(self, name: str, app: App) -> DummySpawner:
        spawner = DummySpawner(loop=self._loop, numbers=self._numbers, concurrency=app.thread_count)
        self.spawners[name] = spawner
        return spawner
