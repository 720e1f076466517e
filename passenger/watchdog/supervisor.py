"""Carries out what the machine decides, and tells the machine what happens. The only place that knows every part.

Rules.
1. Decisions are the machine's; nothing here looks at its phase to decide, except to answer a question about it.
2. One action at a time, in order; events that arise while acting are queued behind.
3. A start that the system refuses (no program, no memory) is a crash like any other.
"""

from __future__ import annotations

import signal
from collections import ChainMap, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.errors import PassengerError
from passenger.instance.plan import Plan
from passenger.log import Log
from passenger.watchdog import logfiles
from passenger.watchdog import machine as m
from passenger.watchdog.alarms import Alarms
from passenger.watchdog.caretaker import Caretaker
from passenger.watchdog.child import Child
from passenger.watchdog.command import Command, Result
from passenger.watchdog.component import Do, Event, State
from passenger.watchdog.core_answers import CoreAnswers
from passenger.watchdog.core_process import CoreProcess
from passenger.watchdog.house import House
from passenger.watchdog.limits import limits_of
from passenger.watchdog.nginx import Nginx
from passenger.watchdog.phases import Happening, Phase
from passenger.watchdog.pulse import Pulse
from passenger.watchdog.reload import Reload
from passenger.watchdog.roster import roster
from passenger.watchdog.router_process import RouterProcess

LONGEST_PATIENCE: Final = 60.0
"""Seconds that workers of a dead nginx master may take at most to finish their requests."""

SAME_SIGNAL: Final = 0.3
"""Seconds within which the same signal again is no second wish: `timeout` signals a process and its group."""

Answer = Callable[[Mapping[str, Any]], None]


class Supervisor:
    """Runs one instance from `begin` until it calls `loop.stop`; then `status` is the exit status."""

    def __init__(self, plan: Plan, house: House, log: Log) -> None:
        self.plan = plan
        self.status = 1
        self._house = house
        self._loop = house.loop
        self._log = log
        managed = plan.nginx_mode == "managed"
        self.machine = m.Machine((m.CORE, m.NGINX) if managed else (m.CORE,), limits_of(plan))
        self._alarms = Alarms(house.loop, self._elapsed)
        self._actions: deque[m.Action] = deque()
        self._acting = False
        self._router = RouterProcess(house.loop, house.reaper, house.surroundings, log)
        self._core = CoreProcess(
            house.loop,
            house.reaper,
            house.surroundings,
            ChainMap(house.interior.for_core, self._router.for_core),
            status_wanted=house.notifier.is_wanted,
            on_message=self._core_says,
            on_unwell=lambda why: self._component(m.CORE, Event.UNWELL, why),
            on_gone=self._core_gone,
        )
        self._nginx = (
            Nginx(
                house.loop,
                house.reaper,
                house.surroundings,
                house.listeners,
                house.interior.generations,
                house.log_pipe,
                house.error_log,
                on_ready=lambda: self._component(m.NGINX, Event.READY),
                on_gone=self._nginx_gone,
            )
            if managed
            else None
        )
        self._caretaker = Caretaker(
            house.loop,
            house.interior,
            log,
            plan=lambda: self.plan,
            is_needed=lambda: self.machine.parts[m.CORE].state in {State.STARTING, State.RUNNING},
            on_renewed=lambda: self._nginx.move() if self._nginx is not None else None,
            on_lost=lambda what: self._component(m.CORE, Event.UNWELL, f"lost {what}"),
        )
        self._pulse = Pulse(
            house.loop,
            house.notifier,
            log,
            ping_within=house.given.ping_within,
            parts=self.machine.parts,
            addresses=house.listeners.addresses,
            on_hung=lambda why: self._component(m.CORE, Event.UNWELL, why),
        )
        self._nginx_tested = False
        self._last_signal = (0, 0.0)
        self._reload: Reload | None = None
        self._reload_again = False
        self._answers = CoreAnswers(self._core.send)

    # From outside

    def begin(self) -> None:
        self._router.follow(self.plan)
        self._happened(Happening.BEGIN)
        self._caretaker.begin()

    def signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._house.reaper.reap()
            self._house.orphans.reaped()
        elif number == signal.SIGHUP:
            self.reload(lambda _: None)
        elif number == signal.SIGUSR1:
            logfiles.told(self.reopen_logs(), self._log)
        else:
            now = self._loop.clock.monotonic()
            before, self._last_signal = self._last_signal, (number, now)
            if before[0] == number and now - before[1] < SAME_SIGNAL:
                return  # one wish, sent to the process and to its group
            self._log.info("received a signal", signal=signal.Signals(number).name)
            self.stop(fast=False)

    def stop(self, *, fast: bool) -> None:
        self._pulse.stopping(0.0 if fast else self.plan.drain_delay + self.plan.drain_timeout)
        if self._reload is not None:
            self._reload.abandon("the instance is being stopped")
        self._happened(Happening.STOP_FAST if fast else Happening.STOP)

    def reload(self, answer: Answer) -> None:
        """Answers when it is done, or at once when it cannot be done now."""
        if self._reload is not None:
            self._reload_again = True
            answer({"ok": False, "error": "a reload is in progress; another one follows it"})
            return
        if self.machine.phase is not Phase.RUNNING:
            answer({"ok": False, "error": f"the instance is {self.machine.phase.value}, it cannot be reloaded now"})
            return

        def done(report: dict[str, Any] | None, reason: str, status: int) -> None:
            self._reload = None
            self._reloaded(report, reason, status, answer)

        self._log.info("reloading")
        self._pulse.reloading()
        self._reload = Reload(
            self,
            self.plan,
            loop=self._loop,
            nginx=self._nginx,
            listeners=self._house.listeners,
            generations=self._house.interior.generations,
            on_done=done,
        )
        self._reload.start()

    def components(self) -> list[dict[str, Any]]:
        """For the `status` verb."""
        children = {m.CORE: self._core.child, m.NGINX: self._nginx.child if self._nginx is not None else None}
        parts = roster(self.machine.parts.values(), children, self._loop.clock.monotonic())
        return parts + self._router.status()

    def reopen_logs(self) -> dict[str, Any]:
        """For the verb of that name."""
        return logfiles.reopen(self.plan, self._core, self._nginx, self._house.log_pipe)

    # What a reload needs (reload.Site)

    def resolve(self, argv: list[str], stdin: bytes, timeout: float, on_done: Callable[[Result], None]) -> None:
        surroundings = self._house.surroundings
        Command(
            self._loop,
            self._house.reaper,
            argv,
            env=surroundings.child_environ,
            stdin=stdin,
            timeout=timeout,
            umask=surroundings.umask,
            on_done=on_done,
        )

    def tell_core(self, config: Mapping[str, Any], on_done: Callable[[dict[str, Any] | None, str], None]) -> None:
        self._answers.ask({"command": "reload", "config": config}, on_done)

    def core_is_running(self) -> bool:
        return self.machine.parts[m.CORE].state is State.RUNNING

    def nginx_is_running(self) -> bool:
        return m.NGINX in self.machine.parts and self.machine.parts[m.NGINX].state is State.RUNNING

    def adopt(self, plan: Plan) -> None:
        self.plan = plan
        self._house.config_watch.follow(plan)
        self.machine.limits = limits_of(plan)
        self._log.set_level(plan.log_level)
        self._router.follow(plan)
        try:
            self._house.interior.describe(plan)
        except (PassengerError, OSError) as error:  # it runs; only its description is old
            self._log.error("the instance directory could not be brought up to date", reason=str(error))

    # Events

    def _happened(self, what: Happening) -> None:
        self._carry_out(self.machine.happened(what, self._loop.clock.monotonic()))

    def _component(self, name: str, event: Event, why: str = "") -> None:
        self._carry_out(self.machine.component_event(name, event, self._loop.clock.monotonic(), why))

    def _core_says(self, message: dict[str, Any]) -> None:
        event = message.get("event")
        if event == "beat":
            self._pulse.beat(message)
        elif event == "ready":
            self._component(m.CORE, Event.READY)
        elif event == "failed":
            self._component(m.CORE, Event.UNWELL, f"reported: {message.get('reason')}")
        elif event in {"reloaded", "reload_failed"}:
            self._answers.answered(message)
        elif event == "keep":
            if trouble := self._core.kept.take(message):
                self._log.warn("not kept for the next core", about=message.get("key"), reason=trouble)
        elif event != "drained":  # its exit follows and says the same
            self._log.warn("the core sent an unknown event", event=event)

    def _core_gone(self, child: Child, reason: str) -> None:
        others = {self._house.log_pipe.pid, self._nginx.child.pid if self._nginx and self._nginx.child else None}
        self._house.orphans.core_died(other_sessions={pid for pid in others if pid is not None})
        self._log.debug("the core ended", pid=child.pid, how=reason)
        self._answers.core_ended()
        self._component(m.CORE, Event.GONE, reason)

    def _nginx_gone(self, child: Child | None, reason: str) -> None:
        if child is not None:
            self._house.orphans.nginx_died(child.pid, min(self.plan.drain_timeout, LONGEST_PATIENCE))
            self._log.debug("nginx ended", pid=child.pid, how=reason)
        self._component(m.NGINX, Event.GONE, reason)

    def _reloaded(self, report: dict[str, Any] | None, reason: str, status: int, answer: Answer) -> None:
        self._pulse.reloaded(reason if report is None else "")
        if report is None:
            self._log.error("the reload changed nothing", reason=reason)
            answer({"ok": False, "error": reason, "exit_status": status})
        else:
            if report["restart_needed"]:
                self._log.warn("some changes need a restart of the instance", fields=" ".join(report["restart_needed"]))
            self._log.info("reloaded")
            answer({"ok": True, "report": report})
        if self._reload_again:
            self._reload_again = False
            self.reload(lambda _: None)

    # Actions

    def _carry_out(self, actions: list[m.Action]) -> None:
        self._actions += actions
        if self._acting:
            return
        self._acting = True
        try:
            while self._actions:
                self._act(self._actions.popleft())
        finally:
            self._acting = False

    def _act(self, action: m.Action) -> None:
        match action:
            case m.Component(name, do, seconds):
                self._do(name, do, seconds)
            case m.SetTimer(name, event, seconds):
                self._alarms.set(name, event, seconds)
            case m.CancelTimer(name, event):
                self._alarms.cancel(name, event)
            case m.Say(level, text):
                self._log.write(level, text, {})
            case m.Leave():
                self._core.send({"command": "leave"})
                self._house.interior.leave()
            case m.StopAccepting():
                self._house.listeners.close()
            case m.Announce():
                self._house.announce(self.plan)
                self._pulse.announced()
                timeout = f"{self.plan.drain_timeout:g}s"
                self._log.info("ready", urls=" ".join(self.plan.urls.values()), drain_timeout=timeout)
            case m.Exit(status, reason):
                self._exit(status, reason)

    def _do(self, name: str, do: Do, seconds: float) -> None:
        try:
            if name == m.CORE:
                self._do_core(do, seconds)
            elif self._nginx is not None:
                self._do_nginx(self._nginx, do)
        except PassengerError as error:
            self._component(name, Event.GONE, f"could not be started: {error.message}")

    def _do_core(self, do: Do, seconds: float) -> None:
        if do is Do.START:
            self._caretaker.restore()
            self._pulse.core_starts()
            self._core.start(self.plan)
        elif do is Do.DRAIN:
            self._core.send({"command": "drain", "timeout": seconds})
        else:
            self._core.signal(signal.SIGTERM if do is Do.TERMINATE else signal.SIGKILL)

    def _do_nginx(self, nginx: Nginx, do: Do) -> None:
        if do is Do.START and not self._nginx_tested:
            self._nginx_tested = True
            nginx.test_and_start(self.plan)
        elif do is Do.START:
            nginx.start(self.plan)
        elif do is Do.DRAIN:
            nginx.signal(signal.SIGQUIT)
            # nginx waits for its connections, and a WebSocket does not end by itself.
            self._core.send({"command": "close_tunnels"})
        else:
            nginx.signal(signal.SIGTERM if do is Do.TERMINATE else signal.SIGKILL)

    def _elapsed(self, name: str, event: Event | Happening) -> None:
        if isinstance(event, Event):
            self._component(name, event)
        else:
            self._happened(event)

    def _exit(self, status: int, reason: str) -> None:
        self.status = status
        self._house.announcer.failed(reason or "the instance was stopped before it was ready")
        self._house.log_pipe.close()
        self._router.end(lambda: self._house.orphans.sweep(self._loop.stop))
