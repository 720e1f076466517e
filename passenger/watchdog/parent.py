"""Several instances from one `passenger start`: one watchdog each, signals forwarded, the worst status at the end.

Rules.
1. One instance that fails does not end the others; the parent ends when all have ended.
2. Readiness is everybody's: `start --daemonize` and the service manager hear "ready" when every instance is ready, and
   the first reason when one is not.
3. If the parent dies, the kernel sends the watchdogs SIGTERM: they drain.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from passenger.clock import Clock, SystemClock
from passenger.errors import EXIT_FAILED, HostError
from passenger.instance.pidfile import pid_file
from passenger.instance.plan import PLAN_FD_VARIABLE, Plan, from_descriptor, to_memory
from passenger.instance.programs import python_module
from passenger.log import Log
from passenger.posix.prctl import become_subreaper, dies_with_parent
from passenger.watchdog.announcement import Announcer
from passenger.watchdog.child import Child, Reaper, default_signals, describe
from passenger.watchdog.launch import launch
from passenger.watchdog.loop import READ, Loop, Signals
from passenger.watchdog.main import open_standard_descriptors

FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Parent:
    """Runs watchdogs until the last one has ended; then `status` is the worst of theirs."""

    def __init__(self, loop: Loop, log: Log, announcer: Announcer, *, environ: Mapping[str, str]) -> None:
        self.status = 0
        self._loop = loop
        self._log = log
        self._announcer = announcer
        self._environ = {name: value for name, value in environ.items() if name != "NOTIFY_SOCKET"}
        self._reaper = Reaper()
        self._running: set[Child] = set()
        self._not_ready: set[str] = set()

    def start(self, plans: Sequence[Plan], argv: Sequence[str], *, umask: int) -> None:
        """One watchdog per plan."""
        self._not_ready = {plan.name for plan in plans}
        for plan in plans:
            try:
                self._start(plan, argv, umask)
            except HostError as error:
                self._failed(plan.name, str(error))
                self.status = EXIT_FAILED
        self._stop_if_over()

    def signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reaper.reap()
            return
        if number != signal.SIGHUP:
            self._announcer.notify("STOPPING=1")
        for child in self._running:
            child.signal(number)

    def _start(self, plan: Plan, argv: Sequence[str], umask: int) -> None:
        ready_r, ready_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        plan_fd = to_memory(dataclasses.replace(plan, readiness_fd=ready_w, pid_file=""))
        try:
            pid = launch(
                argv,
                env={**self._environ, PLAN_FD_VARIABLE: str(plan_fd)},
                umask=umask,
                fds=(plan_fd, ready_w),
                before_exec=dies_with_parent(signal.SIGTERM),
            )
        except HostError:
            os.close(ready_r)
            raise
        finally:
            os.close(plan_fd)
            os.close(ready_w)
        child = Child(plan.name, pid, started_at=self._loop.clock.monotonic(), on_exit=self._exit)
        self._running.add(child)
        self._reaper.add(child)
        self._loop.watch(ready_r, READ, lambda _: self._readiness(plan.name, ready_r))

    def _readiness(self, name: str, fd: int) -> None:
        data = os.read(fd, 65536)
        self._loop.unwatch(fd)
        os.close(fd)
        try:
            answer = json.loads(data) if data else {"error": "it ended before it was ready"}
        except ValueError:
            answer = {"error": "it gave no readable answer"}
        if not answer.get("ready"):
            self._failed(name, str(answer.get("error")))
            return
        self._not_ready.discard(name)
        if not self._not_ready:
            self._announcer.ready("all", {})

    def _failed(self, name: str, reason: str) -> None:
        self._log.error("an instance could not be started", instance_name=name, reason=reason)
        self._announcer.failed(f"instance {name}: {reason}")

    def _exit(self, child: Child, status: int) -> None:
        self._running.discard(child)
        if status:
            self._log.error(f"the watchdog of instance {child.name} {describe(status)}")
        self.status = max(self.status, status if status >= 0 else 128 - status)
        self._stop_if_over()

    def _stop_if_over(self) -> None:
        if not self._running:
            self._loop.stop()


def main() -> None:
    """`python -m passenger.watchdog.parent`, with the plans on the descriptors named by PASSENGER_PLAN_FD."""
    open_standard_descriptors()
    numbers = os.environ.pop(PLAN_FD_VARIABLE, "").split(",")
    if not all(number.isdigit() for number in numbers):
        sys.exit(f"{PLAN_FD_VARIABLE} is not set: this program is started by `passenger start`")
    plans = [from_descriptor(Plan, int(number)) for number in numbers]
    sys.exit(run(plans, python_module("passenger.watchdog"), environ=os.environ, clock=SystemClock()))


def run(plans: Sequence[Plan], argv: Sequence[str], *, environ: Mapping[str, str], clock: Clock) -> int:
    """Run all instances; returns the worst exit status."""
    default_signals()
    if os.getpid() != 1:
        become_subreaper()
    log = Log(component="parent", level=plans[0].log_level, form=plans[0].log_format)
    readiness = [plan.readiness_fd for plan in plans if plan.readiness_fd is not None]
    announcer = Announcer(
        readiness_fd=readiness[0] if readiness else None, notify_socket=environ.get("NOTIFY_SOCKET", "")
    )
    previous = os.umask(0o077)
    loop = Loop(clock)
    parent = Parent(loop, log, announcer, environ=environ)
    signals = contextlib.closing(Signals(loop, (*FORWARDED, signal.SIGCHLD), parent.signalled))
    with contextlib.closing(loop), signals:
        try:
            with pid_file(plans[0].pid_file, log):
                loop.after(0, lambda: parent.start(plans, argv, umask=previous))
                loop.run()
        except HostError as error:
            log.write("error", error.message, {"hint": error.hint})
            announcer.failed(str(error))
            return EXIT_FAILED
    os.umask(previous)
    return parent.status


if __name__ == "__main__":
    main()
