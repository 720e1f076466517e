"""DirectSpawner: every process is started from scratch, through the whole chain.

Rules.
1. One deadline (`start_timeout`) over everything, from the decision to the checked socket.
2. Whatever goes wrong, nothing of the process stays: its session is killed and reaped before the error is raised.
3. A failed spawn is logged once, here, with the id that error page and status show.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from typing import Final, Literal

from passenger.clock import Clock
from passenger.config.model import App
from passenger.log import Log
from passenger.spawn import sockets, spec
from passenger.spawn.failure import SpawnFailure, spawn_error
from passenger.spawn.journey import Journey, Step
from passenger.spawn.launch import launch
from passenger.spawn.negotiation import Negotiation
from passenger.spawn.running import DirectProcess
from passenger.spawn.spawner import AppSocket, SpawnError
from passenger.spawn.spec import SpawnContext, SpawnSpec
from passenger.wire.spawn import request
from passenger.wire.spawnevents import Ready

PATIENCE: Final = 2.0
"""Seconds that a process which ends by itself gets to finish its last words."""


class DirectSpawner:
    """Starts processes of one application."""

    def __init__(
        self, *, name: str, app: App, context: SpawnContext, loop: asyncio.AbstractEventLoop, clock: Clock, log: Log
    ) -> None:
        self._name = name
        self._app = app
        self._context = context
        self._loop = loop
        self._clock = clock
        self._log = log

    async def spawn(self) -> DirectProcess:
        """Start one process and wait until it is ready. Raises SpawnError."""
        journey = Journey(self._clock)
        attempt: Attempt | None = None
        try:
            async with asyncio.timeout(self._app.start_timeout):
                attempt = self._begin(journey)
                await attempt.finish()
        except SpawnFailure as failure:
            raise await self._failed(failure, journey, attempt) from failure
        except TimeoutError:
            raise await self._failed(self._too_late(journey), journey, attempt) from None
        except BaseException:
            if attempt is not None:
                attempt.abandon()
            raise
        return attempt.process

    async def close(self) -> None:
        """Nothing is kept running between spawns."""

    def _begin(self, journey: Journey) -> Attempt:
        decided = spec.work_out(self._name, self._app, self._context)
        if decided.shell is None:
            journey.leave_out(Step.SHELL)
        return Attempt(decided, journey, loop=self._loop, clock=self._clock, log=self._log)

    async def _failed(self, failure: SpawnFailure, journey: Journey, attempt: Attempt | None) -> SpawnError:
        journey.fail()
        output = "" if attempt is None else await attempt.cleaned_up(failure)
        error = spawn_error(self._name, failure, journey, output)
        self._log.error(error.summary, error_id=error.error_id, category=error.category, hint=error.hint)
        return error

    def _too_late(self, journey: Journey) -> SpawnFailure:
        hint = "raise `start_timeout` if it only needs longer; its output shows how far it came"
        if journey.current is Step.SHELL:
            hint = "the shell profile of the user hangs: correct it, or set `load_shell_envvars = false`"
        return SpawnFailure("timeout", f"not done within {self._app.start_timeout:g} seconds", hint=hint)


class Attempt:
    """One spawn on its way."""

    def __init__(
        self, decided: SpawnSpec, journey: Journey, *, loop: asyncio.AbstractEventLoop, clock: Clock, log: Log
    ) -> None:
        gupid, password = _gupid(clock.wall()), secrets.token_hex(16)
        try:
            block = request({**decided.request, "gupid": gupid, "connect_password": password})
        except ValueError as error:
            raise SpawnFailure("configuration-invalid", str(error)) from error
        journey.begin(Step.EXEC)
        child = launch(decided, program=decided.program)
        self._spec = decided
        self._journey = journey
        self.process = DirectProcess(loop=loop, log=log, spec=decided, child=child, gupid=gupid, password=password)
        self._negotiation = Negotiation(
            loop=loop,
            process=self.process,
            report_fd=child.report,
            journey=journey,
            request=block,
            first_step=Step.PREPARER if decided.shell is None else Step.SHELL,
        )

    async def finish(self) -> None:
        """Wait for Ready and check what was announced. Raises SpawnFailure."""
        ready = await self._negotiation.result
        self._journey.begin(Step.CHECK)
        self._check(ready)
        self._journey.finish()
        self._negotiation.close()
        announced = tuple(AppSocket(s.name, s.address, _protocol(s.protocol), s.concurrency) for s in ready.sockets)
        self.process.started(announced, self._journey.seconds())

    def abandon(self) -> None:
        """Kill what was started, without waiting."""
        self._negotiation.close()
        self.process.dispose()

    async def cleaned_up(self, failure: SpawnFailure) -> str:
        """End the process and return what it wrote. `failure` learns how the process ended."""
        ended_itself = self._negotiation.is_over_by_itself
        try:
            await self.process.ended(patience=PATIENCE if ended_itself else 0)
        finally:
            self.abandon()
        if ended_itself and self.process.exit is not None:
            self._describe_end(failure)
        return self.process.capture.text()

    def _check(self, ready: Ready) -> None:
        if ready.pid not in {None, self.process.pid}:
            raise SpawnFailure("foreign-pid", f"it calls itself process {ready.pid}, but is {self.process.pid}")
        for announced in ready.sockets:
            sockets.check(
                announced.address,
                socket_dir=self._spec.context.socket_dir,
                pid=self.process.pid,
                uid=self._spec.identity.uid,
            )

    def _describe_end(self, failure: SpawnFailure) -> None:
        """Say how the process ended, and what its end means in the step in which it came."""
        if not failure.category.startswith("ended-"):
            return
        ended, user = self.process.exit, self._spec.identity.account.name
        if self._journey.current is Step.SHELL:
            failure.category = "shell-ended"
            failure.summary = f"the login shell {self._spec.shell} {ended} before it started anything"
            failure.hint = f"a profile of user {user} ends the shell: correct it, or set `load_shell_envvars = false`"
            return
        if self._journey.current is Step.PREPARER:
            context = self._spec.context
            failure.category = "preparer-failed"
            failure.hint = f"user {user} must be able to execute {context.python} and to read {context.helper_scripts}"
        last = self.process.capture.text().rpartition("\n")[2].strip()
        failure.summary = f"the process {ended} before it was ready" + (f": {last[:300]}" if last else "")
        failure.hint = failure.hint or "its output tells more"


def _protocol(word: str) -> Literal["session", "http_session"]:
    return "session" if word == "session" else "http_session"


def _gupid(wall: float) -> str:
    """Passenger's form: minutes since the epoch in hex, and ten random letters or digits."""
    alphabet = string.ascii_letters + string.digits
    return f"{int(wall) // 60:x}-" + "".join(secrets.choice(alphabet) for _ in range(10))
