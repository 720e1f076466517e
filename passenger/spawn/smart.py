"""SmartSpawner: a preloader loads the application once, processes are forked from it.

Rules.
1. One preloader, one process asked for at a time; other spawns wait for their turn.
2. Starting the preloader, asking it, and the start of the forked process have a deadline of their own each.
3. A preloader that cannot be asked or gives no process is killed, and a fresh one is asked; when that fails, too,
   this process is started directly. What it forked before is left alone.
4. An application that does not load, or a forked process that does not get ready, is an error at once: doing it again
   would not help.
5. Decided anew for each spawn: a preloader that was started as somebody else or with other words is replaced.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from passenger.clock import Clock
from passenger.config.model import App
from passenger.log import Log
from passenger.spawn import sockets, spec
from passenger.spawn.attempt import Attempt, new_gupid, new_password, request_block, start_program, too_late
from passenger.spawn.direct import DirectSpawner
from passenger.spawn.failure import SpawnFailure, log_failure, shortage, spawn_error
from passenger.spawn.forked import ForkedProcess
from passenger.spawn.journey import FORKED, PRELOADER, PRELOADER_STEPS, SMART_STEPS, Journey, Step
from passenger.spawn.negotiation import Negotiation
from passenger.spawn.preloader import Family, Preloader
from passenger.spawn.running import DirectProcess, StartedProcess
from passenger.spawn.spawner import SpawnError
from passenger.spawn.spec import SpawnContext, SpawnSpec
from passenger.wire.preloader import PreloaderTalk
from passenger.wire.spawn import SpawnTalk

ASK_LIMIT: Final = 30.0
"""Seconds: a fork that takes longer than this, or than `start_timeout`, will not come."""
TRIES: Final = 2
OWN_FAULT: Final = frozenset({Step.PRELOADER_ANNOUNCE, Step.PRELOADER_CHECK, Step.ASK, Step.FORK})
"""Steps in which the preloader fails, not the application."""
PRELOADING: Final = frozenset({Step.HANDSHAKE, Step.LOAD, *OWN_FAULT})
"""Steps whose failures are called `preloader-...`."""


class PreloaderFailure(Exception):  # noqa: N818 - it is not told to the outside
    """The preloader gave no process in this step; `error` tells it, if it is the end of the matter."""

    def __init__(self, error: SpawnError, step: Step) -> None:
        super().__init__(error.summary)
        self.error = error
        self.step = step


class SmartSpawner:
    """Starts processes of one application."""

    def __init__(
        self, *, name: str, app: App, context: SpawnContext, loop: asyncio.AbstractEventLoop, clock: Clock, log: Log
    ) -> None:
        self.keeps_preloader = False
        self._name = name
        self._app = app
        self._context = context
        self._loop = loop
        self._clock = clock
        self._log = log
        self._direct = DirectSpawner(name=name, app=app, context=context, loop=loop, clock=clock, log=log)
        self._turn = asyncio.Lock()
        self._preloader: Preloader | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._used_at = 0.0
        """By the loop's clock: when the preloader was last needed."""
        self._stops: set[asyncio.Task[None]] = set()

    @property
    def preloader_pid(self) -> int | None:
        return None if self._preloader is None or self._preloader.is_gone else self._preloader.pid

    def change(self, app: App) -> None:
        """See `Spawner`. The preloader that runs stays, as these keys are none of its business."""
        self._app = app
        self._direct.change(app)
        if not self._turn.locked():
            self._rest()

    async def spawn(self) -> StartedProcess:
        """Start one process and wait until it is ready. Raises SpawnError."""
        began = self._clock.monotonic()
        async with self._turn:
            self._stay()
            try:
                process = await self._spawn()
            finally:
                self._used_at = self._loop.time()
                self._rest()
        process.spawn_seconds = self._clock.monotonic() - began
        return process

    async def close(self) -> None:
        """Stop the preloader; its processes go on. Not to be called while a spawn is under way."""
        self._stay()
        self._stop_preloader()
        if self._stops:
            await asyncio.wait(self._stops)

    # One spawn

    async def _spawn(self) -> StartedProcess:
        for trial in range(1, TRIES + 1):
            journey = Journey(self._clock, SMART_STEPS, app=self._name, observers=self._context.journey_observers)
            decided = self._decide(journey)
            if not decided.is_preloader:
                return await self._direct.spawn()
            try:
                preloader = await self._ready_preloader(decided, journey)
                return await self._forked(preloader, decided, journey)
            except PreloaderFailure as failure:
                if not may_go_on(failure, trial):
                    raise self._logged(failure.error) from failure
                next_try = "asking a fresh one" if trial < TRIES else "starting a process directly"
                self._log.warn(
                    f"the preloader gave no process, {next_try}: {failure.error.summary}", app=self._name, trial=trial
                )
        return await self._direct.spawn()

    def _decide(self, journey: Journey) -> SpawnSpec:
        try:
            return spec.work_out(self._name, self._app, self._context, preload=True)
        except SpawnFailure as failure:
            raise self._logged(self._error(failure, journey)) from failure

    # The preloader

    async def _ready_preloader(self, decided: SpawnSpec, journey: Journey) -> Preloader:
        """The one that is there, if it still fits, or a new one. Raises PreloaderFailure."""
        if self._preloader is not None and (self._preloader.is_gone or not self._preloader.spec.starts_like(decided)):
            self._stop_preloader()
        if self._preloader is None:
            self._preloader = await self._start_preloader(decided, journey)
        else:
            for step in PRELOADER_STEPS:
                journey.leave_out(step)
        return self._preloader

    async def _start_preloader(self, decided: SpawnSpec, journey: Journey) -> Preloader:
        family = Family()
        attempt: Attempt[DirectProcess] | None = None
        try:
            async with asyncio.timeout(self._app.start_timeout):
                attempt = start_program(
                    decided,
                    journey,
                    loop=self._loop,
                    log=self._log,
                    step=Step.PRELOADER_EXEC,
                    stages=PRELOADER,
                    talk=PreloaderTalk(),
                    gupid="",
                    is_shared=family.is_shared,
                )
                ready = await attempt.ready()
            journey.begin(Step.PRELOADER_CHECK)
            address = ready.sockets[0].address
            sockets.check_preloader(address, socket_dir=self._context.socket_dir, uid=decided.identity.uid)
        except SpawnFailure as failure:
            raise await self._failed(failure, journey, attempt) from failure
        except TimeoutError:
            late = too_late(journey, self._app.start_timeout)
            raise await self._failed(late, journey, attempt) from None
        except OSError as error:
            raise self._logged((await self._failed(shortage(error), journey, attempt)).error) from error
        except BaseException:
            if attempt is not None:
                attempt.abandon()
            raise
        attempt.finish((), journey.seconds())
        pid, seconds = attempt.process.pid, round(journey.seconds(), 3)
        self._log.info("preloader started", app=self._name, pid=pid, seconds=seconds)
        return Preloader(
            loop=self._loop, log=self._log, spec=decided, process=attempt.process, family=family, address=address
        )

    # A process out of it

    async def _forked(self, preloader: Preloader, decided: SpawnSpec, journey: Journey) -> ForkedProcess:
        """Raises PreloaderFailure until there is a process, then SpawnError."""
        gupid, password = new_gupid(self._clock.wall()), new_password()
        limit = min(ASK_LIMIT, self._app.start_timeout)
        try:
            request = request_block(decided, {"gupid": gupid, "connect_password": password})
            async with asyncio.timeout(limit):
                process, rest = await preloader.fork(journey, gupid=gupid, password=password)
        except SpawnFailure as failure:
            raise self._given_up(preloader, failure, journey) from failure
        except TimeoutError:
            late = SpawnFailure("timeout", f"not done within {limit:g} seconds")
            raise self._given_up(preloader, late, journey) from None
        except OSError as error:  # no fault of the preloader
            raise self._logged(self._error(shortage(error), journey)) from error
        negotiation = Negotiation(
            loop=self._loop,
            process=process,
            report_fd=None,
            journey=journey,
            request=request,
            first_step=FORKED.handshake,
            stages=FORKED,
            talk=SpawnTalk(),
        )
        return await self._lead(Attempt(decided, journey, process, negotiation), journey, rest)

    async def _lead(self, attempt: Attempt[ForkedProcess], journey: Journey, rest: bytes) -> ForkedProcess:
        try:
            async with asyncio.timeout(self._app.start_timeout):
                attempt.said_before(rest)
                announced = attempt.check(await attempt.ready())
        except SpawnFailure as failure:
            raise self._logged((await self._failed(failure, journey, attempt)).error) from failure
        except TimeoutError:
            late = too_late(journey, self._app.start_timeout)
            raise self._logged((await self._failed(late, journey, attempt)).error) from None
        except BaseException:
            attempt.abandon()
            raise
        journey.finish()
        attempt.finish(announced, journey.seconds())
        return attempt.process

    # Failures

    async def _failed(self, failure: SpawnFailure, journey: Journey, attempt: Attempt[Any] | None) -> PreloaderFailure:
        """End what was started. The error of a forked process is its `error`."""
        journey.fail()
        output = "" if attempt is None else await attempt.cleaned_up(failure)
        return PreloaderFailure(self._error(failure, journey, output), journey.current)

    def _given_up(self, preloader: Preloader, failure: SpawnFailure, journey: Journey) -> PreloaderFailure:
        """The preloader did not do what it is there for."""
        journey.fail()
        self._preloader = None
        preloader.discard()
        return PreloaderFailure(self._error(failure, journey), journey.current)

    def _error(self, failure: SpawnFailure, journey: Journey, output: str = "") -> SpawnError:
        journey.fail()
        if journey.current in PRELOADING:
            failure.category = f"preloader-{failure.category}"
        return spawn_error(self._name, failure, journey, output)

    def _logged(self, error: SpawnError) -> SpawnError:
        log_failure(self._log, self._name, error)
        return error

    # Its end

    def _stay(self) -> None:
        """The preloader is needed."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _rest(self) -> None:
        """The preloader is not needed for now."""
        self._stay()
        if self.preloader_pid is not None and self._app.max_preloader_idle_time > 0:
            self._idle = self._loop.call_at(self._used_at + self._app.max_preloader_idle_time, self._idle_for_long)

    def _idle_for_long(self) -> None:
        self._idle = None
        if self.keeps_preloader:
            self._used_at = self._loop.time()
            self._rest()
            return
        if self.preloader_pid is not None:
            pid = self.preloader_pid
            self._log.info("the preloader is stopped: no process was needed", app=self._name, pid=pid)
        self._stop_preloader()

    def _stop_preloader(self) -> None:
        preloader, self._preloader = self._preloader, None
        if preloader is None or preloader.is_gone:
            return
        task = self._loop.create_task(preloader.stop())
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)


def may_go_on(failure: PreloaderFailure, trial: int) -> bool:
    """Whether a fresh preloader, or a direct start, may do what this one did not.

    Not if the application does not load: that is no fault of the preloader (rule 4). What else befalls a second
    preloader need not befall a process that is started directly.
    """
    if failure.step in OWN_FAULT:
        return True
    return trial == TRIES and failure.step in PRELOADING and failure.error.category != "preloader-load-error"
