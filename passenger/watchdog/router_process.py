"""UstRouter as the watchdog sees it: a child beside the instance's life, which it can neither hold up nor end.

Rules.
1. It runs only while the plan has a sink; for another configuration it makes way for another process.
2. It says `ready` within the time that the core has, or it is killed. A crash is followed by a start with the back-off
   of every component, for ever: telemetry is no reason to end an instance.
3. The socket to the core outlives both programs: the watchdog holds both ends, so packets wait for the next router.
4. At the end of the instance it goes last, and gets STOP seconds to deliver what it has.
5. It runs behind everybody else (NICE), from its first import on: what is told about requests must not slow them.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from passenger.errors import HostError
from passenger.instance.plan import Plan, to_memory
from passenger.instance.router_launch import ROUTER_FD_VARIABLE, RouterLaunch
from passenger.log import Log
from passenger.watchdog.backoff import HEALTHY_AFTER, Backoff
from passenger.watchdog.channel import Channel
from passenger.watchdog.child import Child, Reaper, describe, runs_as
from passenger.watchdog.component import State
from passenger.watchdog.environment import Surroundings
from passenger.watchdog.launch import Identity, launch
from passenger.watchdog.loop import Loop, Timer
from passenger.watchdog.roster import shown

NAME: Final = "ustrouter"
STOP: Final = 4.0
"""Seconds from SIGTERM to SIGKILL: two to deliver, and a margin."""

NICE: Final = 10
"""How much nicer it is than the instance: a tenth of a CPU that all want is enough for it to keep up."""


class _Wanted(NamedTuple):
    """What a router is started with."""

    telemetry: dict[str, Any] | None
    argv: list[str]
    user: int | None
    group: int | None


class RouterProcess:
    """At most one router."""

    def __init__(self, loop: Loop, reaper: Reaper, surroundings: Surroundings, log: Log) -> None:
        self.child: Child | None = None
        self.state = State.IDLE
        self.restarts = 0
        self._loop = loop
        self._reaper = reaper
        self._surroundings = surroundings
        self._log = log
        self._plan: Plan | None = None
        self._running: _Wanted | None = None
        self._channel: Channel | None = None
        self._backoff = Backoff()
        self._timer: Timer | None = None
        self._ended: Callable[[], None] | None = None
        core, self._router_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.for_core = {"telemetry": core}

    def follow(self, plan: Plan) -> None:
        """Start, replace or end the router, as the plan wants it."""
        self._plan = plan
        wanted = _wanted(plan)
        if self.child is not None:
            if wanted != self._running:
                self._terminate()
        elif wanted.telemetry is not None and self._running != wanted:
            self._cancel()
            self._start()
        elif wanted.telemetry is None:
            self._cancel()
            self.state = State.IDLE

    def end(self, ended: Callable[[], None]) -> None:
        """The instance is over: have it deliver what it has, then call back."""
        self._ended = ended
        self._cancel()
        if self.child is None:
            self._finish()
        else:
            self._terminate()

    def status(self) -> list[dict[str, Any]]:
        """For the `status` verb; nothing when there is no router to speak of."""
        if self.child is None and self.state is State.IDLE:
            return []
        return [shown(NAME, self.child, self.state.value, self.restarts, self._loop.clock.monotonic())]

    def _start(self) -> None:
        plan = self._plan
        if plan is None or plan.telemetry is None or self._ended is not None:
            return
        self._running = wanted = _wanted(plan)
        try:
            self._launch(plan, wanted)
        except HostError as error:
            self._log.error("UstRouter could not be started", reason=error.message)
            self._back_off()

    def _launch(self, plan: Plan, wanted: _Wanted) -> None:
        ours, theirs = socket.socketpair()
        document = RouterLaunch(
            name=plan.name,
            version=plan.version,
            telemetry=plan.telemetry or {},
            records_fd=self._router_end.fileno(),
            feedback_fd=theirs.fileno(),
            log_level=plan.log_level,
            log_format=plan.log_format,
        )
        launch_fd = to_memory(document)
        identity = Identity(wanted.user, wanted.group or 0) if wanted.user else None
        try:
            pid = launch(
                wanted.argv,
                env=self._surroundings.child_environ | {ROUTER_FD_VARIABLE: str(launch_fd)},
                fds=[self._router_end.fileno(), theirs.fileno(), launch_fd],
                umask=0o027,
                identity=identity,
                before_exec=_step_back,
            )
        except HostError:
            ours.close()
            raise
        finally:
            os.close(launch_fd)
            theirs.close()
        child = self.child = Child(NAME, pid, started_at=self._loop.clock.monotonic(), on_exit=self._exit)
        self._reaper.add(child)
        self._surroundings.restore_oom_score(pid)
        self.state = State.STARTING
        self._channel = Channel(self._loop, ours, on_message=self._says, on_end=lambda _: None)
        self._after(plan.start_timeout, lambda: self._condemn("was not ready in time"))
        if identity is not None and not runs_as(pid, user=identity.uid, group=identity.gid):
            self._condemn(f"does not run as user {identity.uid} and group {identity.gid}")

    def _says(self, message: dict[str, Any]) -> None:
        if message.get("event") == "ready" and self.state is State.STARTING:
            self.state = State.RUNNING
            self._log.info("UstRouter is at work", pid=self.child.pid if self.child is not None else None)
            self._after(HEALTHY_AFTER, self._backoff.healthy)

    def _condemn(self, why: str) -> None:
        self._log.error("UstRouter is killed", why=why)
        self._signal(signal.SIGKILL)

    def _terminate(self) -> None:
        self.state = State.TERMINATING
        self._signal(signal.SIGTERM)
        self._after(STOP, lambda: self._condemn("did not end in time"))

    def _signal(self, number: int) -> None:
        if self.child is not None:
            self.child.signal_group(number)
            if number != signal.SIGKILL:
                self.child.signal_group(signal.SIGCONT)

    def _exit(self, _: Child, status: int) -> None:
        self.child = None
        self._cancel()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        was_told, self.state = self.state is State.TERMINATING, State.IDLE
        if self._ended is not None:
            self._finish()
        elif was_told:
            self._start()
        else:
            self._log.error(f"UstRouter {describe(status)}; requests are served on")
            self._back_off()

    def _back_off(self) -> None:
        delay = self._backoff.next_delay()
        self.restarts += 1
        self.state = State.BACKING_OFF
        self._after(delay, self._start)

    def _finish(self) -> None:
        for sock in (self._router_end, *self.for_core.values()):
            sock.close()
        call, self._ended = self._ended, None
        if call is not None:
            call()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._cancel()
        self._timer = self._loop.after(seconds, call)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _wanted(plan: Plan) -> _Wanted:
    return _Wanted(plan.telemetry, plan.router_argv, plan.router_uid, plan.router_gid)


def _step_back() -> None:
    os.nice(NICE)
