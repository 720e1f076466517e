"""Looks every few seconds whether the instance is alive, and keeps the service manager informed of how it is.

What is judged is in `vitals`, what is said in `notices`; this file asks nginx, counts time, and sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from passenger.instance.plan import Listen
from passenger.log import Log
from passenger.watchdog import machine as m
from passenger.watchdog.component import State
from passenger.watchdog.loop import Loop
from passenger.watchdog.notices import Notices
from passenger.watchdog.notifier import Notifier
from passenger.watchdog.probe import Probe
from passenger.watchdog.vitals import PULSE, Vitals


class Pulse:
    """Works from construction on, as long as the loop does."""

    def __init__(
        self,
        loop: Loop,
        notifier: Notifier,
        log: Log,
        *,
        ping_within: float | None,
        parts: Mapping[str, m.Part],
        addresses: Callable[[], list[Listen]],
        on_hung: Callable[[str], None],
    ) -> None:
        """`ping_within` seconds the service manager wants a ping; `on_hung` is told of a core that has to go."""
        self._loop = loop
        self._notifier = notifier
        self._log = log
        self._pings = ping_within is not None
        self._period = min(PULSE, ping_within / 3) if ping_within else PULSE
        self._parts = parts
        self._addresses = addresses
        self._on_hung = on_hung
        self._notices = Notices()
        self._vitals = Vitals(loop.clock.monotonic())
        self._probe: Probe | None = None
        self._trouble = ""
        loop.after(self._period, self._look)

    # What happens

    def core_starts(self) -> None:
        self._vitals.core_started()

    def beat(self, message: Mapping[str, Any]) -> None:
        """The core's sign of life."""
        self._vitals.beat(self._loop.clock.monotonic(), float(message.get("late", 0.0)))
        text = str(message.get("text", ""))
        self._notifier.tell(self._notices.beat(started=message.get("started") is True, text=text))

    def announced(self) -> None:
        self._notifier.tell(self._notices.announced())

    def reloading(self) -> None:
        self._notifier.tell(self._notices.reloading(self._loop.clock.monotonic()))

    def reloaded(self, problem: str) -> None:
        self._notifier.tell(self._notices.reloaded(problem))

    def stopping(self, seconds: float) -> None:
        self._notifier.tell(self._notices.stopping(seconds))

    # Looking

    def _look(self) -> None:
        self._loop.after(self._period, self._look)
        running = {name: part.state is State.RUNNING for name, part in self._parts.items()}
        now = self._loop.clock.monotonic()
        verdict = self._vitals.look(
            now, self._period, core_runs=running[m.CORE], nginx_runs=running.get(m.NGINX, False)
        )
        if verdict.is_core_hung:
            self._on_hung(verdict.trouble)
        elif verdict.trouble:
            self._complain(verdict.trouble)
        else:
            self._trouble = ""
            if self._pings:
                self._notifier.tell(["WATCHDOG=1"])
            away = [f"{name} is {self._parts[name].state.value}" for name, runs in running.items() if not runs]
            if away:
                self._notifier.tell(self._notices.unwell("; ".join(away)))
        if running.get(m.NGINX) and self._pings:
            self._ask()

    def _complain(self, trouble: str) -> None:
        self._notifier.tell(self._notices.unwell(trouble))
        if not self._trouble:
            withheld = ": the service manager gets no sign of life" if self._pings else ""
            self._log.warn(f"{trouble}{withheld}")
        self._trouble = trouble

    def _ask(self) -> None:
        """Has nginx accept a connection."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None
        if addresses := self._addresses():
            self._vitals.asked()
            self._probe = Probe(self._loop, addresses[0], on_answer=self._accepted)

    def _accepted(self) -> None:
        self._probe = None
        self._vitals.accepted(self._loop.clock.monotonic())
