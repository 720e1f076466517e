"""One start of a process on its way: from the first step to Ready, or to the end of everything that was started."""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from passenger.log import Log
from passenger.spawn import limits, sockets
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.journey import Journey, Stages, Step
from passenger.spawn.launch import launch
from passenger.spawn.negotiation import Negotiation
from passenger.spawn.running import DirectProcess, StartedProcess
from passenger.spawn.spawner import AppSocket
from passenger.spawn.spec import SpawnSpec
from passenger.wire.spawn import SpawnTalk, request
from passenger.wire.spawnevents import AnnouncedSocket, Ready

PATIENCE: Final = 2.0
"""Seconds that a process which ends by itself gets to finish its last words."""

P = TypeVar("P", bound=StartedProcess)


class Attempt(Generic[P]):
    """A process that has been started, and the talk with it."""

    def __init__(self, decided: SpawnSpec, journey: Journey, process: P, negotiation: Negotiation) -> None:
        self.process = process
        self._spec = decided
        self._journey = journey
        self._negotiation = negotiation

    async def ready(self) -> Ready:
        """Wait for Ready. Raises SpawnFailure."""
        return await self._negotiation.result

    def said_before(self, data: bytes) -> None:
        """What the process said on its stdout before the negotiation began."""
        if data:
            self._negotiation.said(data)

    def finish(self, announced: tuple[AppSocket, ...], seconds: float) -> None:
        """Everything is done and checked."""
        self._negotiation.close()
        self.process.started(announced, seconds)

    def check(self, ready: Ready) -> tuple[AppSocket, ...]:
        """What was announced, found to be what it claims to be. Raises SpawnFailure."""
        self._journey.begin(Step.CHECK)
        self.process.takes_interrupts = ready.interrupts
        self.process.takes_errands = _takes_errands(ready)
        if ready.pid not in {None, self.process.pid}:
            raise SpawnFailure("foreign-pid", f"it calls itself process {ready.pid}, but is {self.process.pid}")
        for announced in ready.sockets:
            sockets.check(
                announced.address,
                socket_dir=self._spec.context.socket_dir,
                pid=self.process.pid,
                uid=self._spec.identity.uid,
                by_session=announced.protocol == "http_session",
            )
        limit = self._spec.app.force_max_concurrent_requests_per_process
        return tuple(_socket(announced, limit) for announced in ready.sockets)

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


def start_program(
    decided: SpawnSpec,
    journey: Journey,
    *,
    loop: asyncio.AbstractEventLoop,
    log: Log,
    step: Step,
    stages: Stages,
    talk: SpawnTalk,
    gupid: str,
    is_shared: Callable[[], bool] = lambda: False,
) -> Attempt[DirectProcess]:
    """Start the whole chain and talk with what comes out of it. Raises SpawnFailure."""
    if decided.shell is None:
        journey.leave_out(Step.SHELL)
    password = new_password()
    block = request_block(decided, {"gupid": gupid, "connect_password": password})
    journey.begin(step)
    child = launch(decided, program=decided.program, gupid=gupid)
    try:
        process = DirectProcess(
            loop=loop, log=log, spec=decided, child=child, gupid=gupid, password=password, is_shared=is_shared
        )
    except OSError:  # it cannot be watched (EMFILE), so it must not live
        child.abandon()
        raise
    negotiation = Negotiation(
        loop=loop,
        process=process,
        report_fd=child.report,
        journey=journey,
        request=block,
        first_step=Step.PREPARER if decided.shell is None else Step.SHELL,
        stages=stages,
        talk=talk,
        set_limits=lambda: limits.set_on(child.pid, decided.limits, decided.name, decided.context.cgroups),
    )
    return Attempt(decided, journey, process, negotiation)


def request_block(decided: SpawnSpec, own: Mapping[str, str]) -> bytes:
    """The words that answer a handshake. Raises SpawnFailure."""
    try:
        return request({**decided.request, **own})
    except ValueError as error:
        raise SpawnFailure("configuration-invalid", str(error)) from error


def new_password() -> str:
    """For the sockets of one process."""
    return secrets.token_hex(16)


def new_gupid(wall: float) -> str:
    """Passenger's form: minutes since the epoch in hex, and ten random letters or digits."""
    alphabet = string.ascii_letters + string.digits
    return f"{int(wall) // 60:x}-" + "".join(secrets.choice(alphabet) for _ in range(10))


def too_late(journey: Journey, seconds: float) -> SpawnFailure:
    """The failure of a step that was not done in time."""
    hint = "raise `start_timeout` if it only needs longer; its output shows how far it came"
    if journey.current is Step.SHELL:
        hint = "the shell profile of the user hangs: correct it, or set `load_shell_envvars = false`"
    return SpawnFailure("timeout", f"not done within {seconds:g} seconds", hint=hint)


def _socket(announced: AnnouncedSocket, limit: int | None) -> AppSocket:
    """`limit`: what the configuration says instead of the loader, for sockets that speak HTTP."""
    if announced.protocol == "session":
        return AppSocket(announced.name, announced.address, "session", announced.concurrency)
    concurrency = announced.concurrency if limit is None else limit
    return AppSocket(announced.name, announced.address, "http_session", concurrency)


def _takes_errands(ready: Ready) -> bool:
    """Its first socket is the one that is asked. Not over TCP: the request would tell a stranger there the password."""
    first = ready.sockets[0]
    return first.protocol == "session" or (ready.errands and first.address.startswith("unix:"))
