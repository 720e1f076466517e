"""Several instances from one `passenger start`: one watchdog each, signals forwarded, the worst status at the end.

Rules.
1. One instance that fails does not end the others; the parent ends when all have ended.
2. Readiness is everybody's: `start --daemonize` and the service manager hear "ready" when every instance is ready, and
   the former the first reason when one is not. What a watchdog tells the service manager it tells us (`chorus`).
3. If the parent dies, the kernel sends the watchdogs SIGTERM: they drain.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from passenger.clock import Clock, SystemClock
from passenger.errors import EXIT_FAILED, HostError
from passenger.instance.pidfile import pid_file
from passenger.instance.plan import Listen, Plan, from_descriptor, to_memory
from passenger.instance.programs import python_module
from passenger.instance.variables import PLAN_FD_VARIABLE
from passenger.journal import journal_behind
from passenger.log import Log
from passenger.posix.activation import OWN_FDS, OWN_NOTIFY, VARIABLES, Given, addresses_of, given, keep_from_children
from passenger.posix.prctl import become_subreaper, dies_with_parent
from passenger.posix.sockets import shown_address
from passenger.watchdog.announcement import Announcer
from passenger.watchdog.child import Child, Reaper, default_signals, describe
from passenger.watchdog.chorus import Chorus
from passenger.watchdog.launch import launch
from passenger.watchdog.loop import READ, Loop, Signals
from passenger.watchdog.main import open_standard_descriptors
from passenger.watchdog.notifier import Notifier

FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


class Parent:
    """Runs watchdogs until the last one has ended; then `status` is the worst of theirs."""

    def __init__(
        self, loop: Loop, log: Log, announcer: Announcer, *, environ: Mapping[str, str], received: Given
    ) -> None:
        self.status = 0
        self._loop = loop
        self._log = log
        self._announcer = announcer
        self._notifier = Notifier(address=received.notify_address, fd=received.notify_fd, log=log)
        self._chorus = Chorus([])
        self._given = addresses_of(received.listen_fds)
        self._environ = {name: value for name, value in environ.items() if name not in VARIABLES}
        if received.ping_within is not None:
            self._environ["WATCHDOG_USEC"] = str(int(received.ping_within * 1e6))
        self._reaper = Reaper()
        self._running: set[Child] = set()
        self._not_ready: set[str] = set()

    def start(self, plans: Sequence[Plan], argv: Sequence[str], *, umask: int) -> None:
        """One watchdog per plan."""
        self._not_ready = {plan.name for plan in plans}
        self._chorus = Chorus(self._not_ready)
        self._tell_of_strangers(plans)
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
        if number not in {signal.SIGHUP, signal.SIGUSR1}:
            self._notifier.tell(["STOPPING=1"])
        for child in self._running:
            child.signal(number)

    def _start(self, plan: Plan, argv: Sequence[str], umask: int) -> None:
        ready_r, ready_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        plan_fd = to_memory(dataclasses.replace(plan, readiness_fd=ready_w, pid_file=""))
        listening = [
            fd for (host, port), fd in self._given.items() if Listen(host=host, port=port) in plan.nginx_listen
        ]
        private = {PLAN_FD_VARIABLE: str(plan_fd), OWN_FDS: ",".join(map(str, listening))}
        if self._notifier.is_wanted:
            private[OWN_NOTIFY] = str(theirs.fileno())
        try:
            pid = launch(
                argv,
                env={**self._environ, **private},
                umask=umask,
                fds=(plan_fd, ready_w, theirs.fileno(), *listening),
                before_exec=dies_with_parent(signal.SIGTERM),
            )
        except HostError:
            os.close(ready_r)
            ours.close()
            raise
        finally:
            os.close(plan_fd)
            os.close(ready_w)
            theirs.close()
        ours.setblocking(False)
        self._loop.watch(ours.fileno(), READ, lambda _: self._hear(plan.name, ours))
        child = Child(plan.name, pid, started_at=self._loop.clock.monotonic(), on_exit=self._exit)
        self._running.add(child)
        self._reaper.add(child)
        self._loop.watch(ready_r, READ, lambda _: self._readiness(plan.name, ready_r))

    def _hear(self, name: str, ours: socket.socket) -> None:
        """A message for the service manager, or its sender's end."""
        try:
            data = ours.recv(65536)
        except BlockingIOError:
            return
        except OSError:  # the other end is gone
            data = b""
        if data:
            self._notifier.tell(self._chorus.hears(name, data.decode("utf-8", "replace")))
        else:
            self._loop.unwatch(ours.fileno())
            ours.close()

    def _tell_of_strangers(self, plans: Sequence[Plan]) -> None:
        served = {(listen.host, listen.port) for plan in plans for listen in plan.nginx_listen}
        for address in self._given.keys() - served:
            shown = shown_address(*address)
            self._log.warn(f"the service manager listens on {shown}, and no instance serves it")

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
            self._announcer.ready({})

    def _failed(self, name: str, reason: str) -> None:
        self._log.error("an instance could not be started", instance_name=name, reason=reason)
        self._announcer.failed(f"instance {name}: {reason}")

    def _exit(self, child: Child, status: int) -> None:
        self._running.discard(child)
        self._notifier.tell(self._chorus.gone(child.name))
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
    log = Log(
        component="parent", level=plans[0].log_level, form=plans[0].log_format, journal=journal_behind(2, environ)
    )
    readiness = [plan.readiness_fd for plan in plans if plan.readiness_fd is not None]
    announcer = Announcer(readiness_fd=readiness[0] if readiness else None)
    received = given(environ, os.getpid())
    keep_from_children(received)
    previous = os.umask(0o077)
    loop = Loop(clock)
    parent = Parent(loop, log, announcer, environ=environ, received=received)
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
