"""Doubles for tests of the pool: a clock that stands still, spawners and processes without an operating system.

Processes and starts do what the test says, when it says so; nothing happens by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import Any

from passenger.config.model import App
from passenger.log import Log
from passenger.pool.limits import PoolLimits
from passenger.pool.session import Refusal, Session
from passenger.spawn.spawner import AppSocket, Exit, SpawnError


class StillClock:
    """A clock that the test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now


class StillProcess:
    """A RunningProcess that records what is asked of it and ends when the test says so."""

    pids = itertools.count(10_000)

    def __init__(self, concurrency: int = 1, *, sockets: tuple[int, ...] = ()) -> None:
        self.pid = next(self.pids)
        self.gupid = f"gupid-{self.pid}"
        self.connect_password = "password"
        self.spawn_seconds = 0.5
        self.takes_interrupts = False
        self.takes_errands = True
        self.sockets = tuple(
            AppSocket(f"s{number}", f"unix:/run/apps/{self.pid}.{number}", "session", places)
            for number, places in enumerate(sockets or (concurrency,))
        )
        self.asked: list[str] = []
        self.is_gone = False
        self._on_exit: list[Callable[[Exit], None]] = []

    def when_exited(self, callback: Callable[[Exit], None]) -> None:
        self._on_exit.append(callback)

    def interrupt(self, connection: str) -> bool:
        self.asked.append(f"interrupt {connection}")
        return self.takes_interrupts

    def show_stacks(self) -> None:
        self.asked.append("QUIT")

    def request_stop(self) -> None:
        self.asked.append("stop")

    def terminate(self) -> None:
        self.asked.append("TERM")

    def kill(self) -> None:
        self.asked.append("KILL")

    def dispose(self) -> None:
        self.asked.append("dispose")

    def end(self, status: int = 0) -> None:
        """The process ends now."""
        assert not self.is_gone
        self.is_gone = True
        for callback in self._on_exit:
            callback(Exit(status))


class StillSpawner:
    """A Spawner whose starts end when the test says so."""

    preloader_pid: int | None = None
    keeps_preloader = False

    def __init__(self, factory: StillFactory, name: str, app: App) -> None:
        self.factory = factory
        self.name = name
        self.app = app
        self.is_closed = False

    def change(self, app: App) -> None:
        self.app = app

    async def spawn(self) -> StillProcess:
        assert not self.is_closed
        start = Start(self)
        self.factory.starts.append(start)
        try:
            return await start.outcome
        except asyncio.CancelledError:
            start.is_cancelled = True
            raise

    async def close(self) -> None:
        self.is_closed = True


class Start:
    """One call of `spawn` that waits for its outcome."""

    def __init__(self, spawner: StillSpawner) -> None:
        self.spawner = spawner
        self.outcome: asyncio.Future[StillProcess] = asyncio.get_running_loop().create_future()
        self.is_cancelled = False

    def succeed(self, concurrency: int | None = None) -> StillProcess:
        process = StillProcess(self.spawner.app.thread_count if concurrency is None else concurrency)
        self.outcome.set_result(process)
        return process

    def fail(self, summary: str = "it broke") -> SpawnError:
        error = spawn_error(summary)
        self.outcome.set_exception(error)
        return error

    def is_open(self) -> bool:
        return not self.outcome.done()


class StillFactory:
    """A SpawnerFactory that keeps everything it made."""

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self.spawners: list[StillSpawner] = []

    def spawner_for(self, name: str, app: App) -> StillSpawner:
        spawner = StillSpawner(self, name, app)
        self.spawners.append(spawner)
        return spawner

    def open_starts(self, name: str = "") -> list[Start]:
        return [start for start in self.starts if start.is_open() and name in {"", start.spawner.name}]


class RecordingWaiter:
    """A Waiter that keeps its answer."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.session: Session | None = None
        self.refusal: Refusal | None = None
        self.answers = 0
        self.on_answer: Callable[[RecordingWaiter], None] = lambda _: None

    def session_granted(self, session: Session) -> None:
        self.session = session
        self.answers += 1
        self.on_answer(self)

    def session_refused(self, refusal: Refusal) -> None:
        self.refusal = refusal
        self.answers += 1
        self.on_answer(self)

    def granted(self) -> Session:
        assert self.session is not None
        return self.session

    def refused(self) -> Refusal:
        assert self.refusal is not None
        return self.refusal

    def __repr__(self) -> str:
        return f"<waiter {self.name}>"


def spawn_error(summary: str = "it broke") -> SpawnError:
    return SpawnError(summary, category="test", error_id="e1")


def app(root: str = "/srv/app", **keys: Any) -> App:
    """Options with no process kept while idle, unless asked for."""
    return App(app_root=root, **({"min_instances": 0} | keys))


def limits(size: int = 6, *, idle: float = 300.0, parallel: int = 2) -> PoolLimits:
    return PoolLimits(max_pool_size=size, pool_idle_time=idle, max_parallel_spawns=parallel)


class LogLines:
    """A Log that writes into a pipe of its own; `read` gives the lines so far."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self.log = Log(component="pool", fd=self._write, level="debug")

    def read(self) -> list[str]:
        try:
            return os.read(self._read, 1 << 20).decode().splitlines()
        except BlockingIOError:
            return []

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


def turn(loop: asyncio.AbstractEventLoop, times: int = 4) -> None:
    """Let the loop run what is ready, and what that makes ready."""
    for _ in range(times):
        loop.call_soon(loop.stop)
        loop.run_forever()
