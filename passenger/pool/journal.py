"""What the pool tells the log: one line per process that comes, goes or fails; never one per request."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Final

from passenger.clock import Clock
from passenger.log import Log
from passenger.pool.actions import Action, DropErrand
from passenger.pool.model import Group, Process, ProcessState, Spawning
from passenger.pool.restart import Restart
from passenger.pool.session import Refusal, RefusalReason
from passenger.spawn.spawner import Exit, SpawnError

QUIET: Final = 10.0
"""Seconds between two lines about full queues of one application: a flood of requests is no flood of lines."""


FailureObserver = Callable[[str, SpawnError], None]
"""Gets the name of the application and why a start failed."""
Notify = Callable[[str, dict[str, object]], None]
"""(event, facts): for who wants to act on what happens, by the names of `config.hooks`."""


class Journal:
    """Writes the pool's events to the log, and tells those of them that hooks wait for."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self.notify: Notify = lambda _event, _facts: None
        self.failed: FailureObserver = lambda _app, _failure: None
        self._log = log
        self._clock = clock
        self._told_full: dict[str, float] = {}

    def spawning(self, spawning: Spawning) -> None:
        self._log.debug("starting a process", app=spawning.group.name, generation=spawning.generation.number)

    def called_off(self, spawning: Spawning) -> None:
        self._log.info("start called off", app=spawning.group.name, generation=spawning.generation.number)

    def ready(self, process: Process) -> None:
        self._log.info("process ready", app=process.group.name, pid=process.pid, seconds=f"{process.spawn_seconds:.2f}")
        self.notify("attached_process", {"app": process.group.name, "pid": process.pid})

    def errand_dropped(self, action: DropErrand) -> None:
        app = action.process.group.app
        self._log.warn(
            "no out-of-band work: the process did not finish what it ran",
            app=action.process.group.name,
            pid=action.process.pid,
            limit=app.out_of_band_work_timeout,
        )

    def spawner_broke(self, spawning: Spawning, failure: SpawnError, error: Exception) -> None:
        """A failed start is logged by the spawner; this is a bug in a spawner."""
        trace = "".join(traceback.format_exception(error))
        self._log.error(failure.summary, app=spawning.group.name, error_id=failure.error_id, traceback=trace)

    def start_failed(self, spawning: Spawning, failure: SpawnError) -> None:
        """What the spawner does not know of."""
        self._log.error(failure.summary, app=spawning.group.name, error_id=failure.error_id)

    def could_not_start(self, spawning: Spawning, failure: SpawnError) -> None:
        """Whoever logs it."""
        self.failed(spawning.group.name, failure)
        self.notify(
            "spawn_failed", {"app": spawning.group.name, "reason": failure.summary, "error_id": failure.error_id}
        )

    def backing_off(self, group: Group, now: float) -> None:
        """After a failed start: when the next one is made."""
        seconds = group.backoff.remaining(now)
        if seconds and group.last_error is not None:
            self._log.warn(
                "next start after a wait",
                app=group.name,
                seconds=f"{seconds:.1f}",
                failures=group.backoff.failures,
                error_id=group.last_error.error_id,
            )

    def restart_over(self, group: Group, restart: Restart, now: float) -> None:
        """The result of a restart; how each process went has a line of its own."""
        told: dict[str, Any] = {"app": group.name, "generation": restart.generation, "why": restart.why}
        if restart.error is None:
            seconds = f"{now - restart.began_at:.1f}"
            self._log.info("application restarted", **told, processes=restart.total, seconds=seconds)
            self.notify("restarted", {**told, "processes": restart.total, "seconds": seconds})
        else:
            what = "the restart of the application failed"
            kept = "" if restart.is_cold else ": its old processes keep serving until the next one"
            self._log.error(what + kept, **told, error_id=restart.error.error_id, reason=restart.error.summary)
            self.notify("restart_failed", {**told, "error_id": restart.error.error_id})

    def retired(self, process: Process, why: str) -> None:
        self._log.info("process retired", app=process.group.name, pid=process.pid, why=why, sessions=process.sessions)

    def signalled(self, process: Process, signal: str) -> None:
        asked = "process is not waited for" if process.state is ProcessState.DRAINING else "process did not stop"
        self._log.warn(asked, app=process.group.name, pid=process.pid, sent=signal, why=process.retired_why)

    def exited(self, process: Process, exit_: Exit, lifetime: float) -> None:
        is_expected = process.state in {ProcessState.STOPPING, ProcessState.DRAINING}
        self._log.write(
            "info" if is_expected else "error",
            "process ended" if is_expected else "process ended unasked",
            {"app": process.group.name, "pid": process.pid, "how": str(exit_), "age": f"{lifetime:.1f}s"}
            | ({"sessions": process.sessions} if process.sessions else {}),
        )
        self.notify(
            "detached_process",
            {"app": process.group.name, "pid": process.pid, "reason": str(exit_), "age": f"{lifetime:.1f}"},
        )

    def refused(self, refusal: Refusal) -> None:
        if refusal.reason is not RefusalReason.QUEUE_FULL:
            return
        now = self._clock.monotonic()
        if now - self._told_full.get(refusal.app, -QUIET) >= QUIET:
            self._told_full[refusal.app] = now
            self._log.warn("queue full: requests are refused", app=refusal.app)
            self.notify("queue_full", {"app": refusal.app})

    def close_failed(self, error: Exception) -> None:
        self._log.error("closing a spawner failed", error=f"{type(error).__name__}: {error}")

    def broken(self, action: Action, error: Exception) -> None:
        """An own bug, or one of the request layer: everything that helps to find it."""
        trace = "".join(traceback.format_exception(error))
        self._log.error("carrying out a decision failed", action=type(action).__name__, traceback=trace)
