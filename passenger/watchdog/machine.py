"""The watchdog's decisions: phases of the instance x events, over the components' own table. Pure.

What it decides.
1. Start: the core, when it is ready nginx, when that is ready too the instance is announced. A component that
   fails before the first announcement is the error state: everything is stopped, exit 1.
2. Run: a crashed component is restarted with back-off; more crashes than the budget allows end the instance, exit 1.
3. Leave, when there is a `drain_delay`: the core fails readiness, all else runs as it does; then the drain begins.
4. Drain: nginx first (it stops accepting while the core still serves), then the core, within one deadline; a part of
   it is kept for the core. A core that crashes while nginx drains is restarted: requests may wait in nginx for it.
5. A second stop, or the deadline, asks the rest to terminate at once; a third stop, or patience's end, kills.

Nothing here knows a pid, a socket or the time of day; `now` is monotonic seconds. Timers are events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from passenger.watchdog.backoff import HEALTHY_AFTER, Backoff
from passenger.watchdog.component import TABLE, TIMERS, Do, Event, Outcome, State
from passenger.watchdog.limits import Limits
from passenger.watchdog.phases import QUIET, Happening, Phase

CORE: Final = "core"
NGINX: Final = "nginx"

PATIENCE: Final = 5.0
"""Seconds between TERM and KILL."""
CORE_SHARE: Final = 0.2
"""Part of the drain deadline that is kept for the core, at most CORE_RESERVE seconds."""
CORE_RESERVE: Final = 10.0


class Component(NamedTuple):
    """`do` to the process of the component `name`; a drain has `seconds` to finish."""

    name: str
    do: Do
    seconds: float = 0.0


class SetTimer(NamedTuple):
    """Deliver the event after so many seconds; replaces a timer of the same owner (`name`, "" = the instance)."""

    name: str
    event: Event | Happening
    seconds: float


class CancelTimer(NamedTuple):
    name: str
    event: Event | Happening


class Announce(NamedTuple):
    """Everything is up for the first time."""


class Leave(NamedTuple):
    """Have the core fail readiness and do all else as before."""


class StopAccepting(NamedTuple):
    """Close the addresses for clients: new connections are refused, not left hanging."""


class Say(NamedTuple):
    level: Literal["error", "warn", "info", "debug"]
    text: str


class Exit(NamedTuple):
    status: int
    reason: str
    """"" when the instance stopped as asked."""


Action = Component | SetTimer | CancelTimer | Announce | Leave | StopAccepting | Say | Exit


class Part:
    """What the machine knows about one component."""

    __slots__ = ("backoff", "name", "restarts", "state", "why")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.IDLE
        self.why = ""
        self.restarts = 0
        self.backoff = Backoff()


class Machine:
    """Feed it `happened` and `component_event`; carry out what they return, in order."""

    def __init__(self, components: tuple[str, ...], limits: Limits) -> None:
        self.phase = Phase.STARTING
        self.limits = limits
        self.parts = {name: Part(name) for name in components}
        self.failure = ""
        self._missed = ""
        self._drain_ends = 0.0

    def happened(self, what: Happening, now: float) -> list[Action]:
        """Something happened to the instance."""
        return self._row(what)(self, "", now)

    def component_event(self, name: str, event: Event, now: float, why: str = "") -> list[Action]:
        """Something happened to a component; `why` explains UNWELL and GONE."""
        return self._feed(self.parts[name], event, now, why=why)

    def is_over(self) -> bool:
        return self.phase in {Phase.STOPPED, Phase.FAILED}

    # Components

    def _feed(self, part: Part, event: Event, now: float, *, why: str = "", seconds: float = 0.0) -> list[Action]:
        before = part.state
        row = TABLE[before, event]
        part.state = row.state
        if row.state is not before and event in {Event.UNWELL, Event.GONE}:
            part.why = part.why or why or f"was not ready within {self.limits.start_timeout:g} s"
        actions: list[Action] = []
        if before is not row.state:
            actions += self._timers(part, before, seconds)
        if row.do is not Do.NOTHING:
            part.why = "" if row.do is Do.START else part.why
            actions.append(Component(part.name, row.do, seconds))
        if row.outcome is not Outcome.NONE:
            actions += self._row(Happening[row.outcome.name])(self, part.name, now)
        return actions

    def _timers(self, part: Part, before: State, seconds: float) -> list[Action]:
        actions: list[Action] = []
        if before in TIMERS:
            actions.append(CancelTimer(part.name, TIMERS[before]))
        if part.state is State.STARTING:
            actions.append(SetTimer(part.name, Event.UNWELL, self.limits.start_timeout))
        elif part.state is State.RUNNING:
            actions.append(SetTimer(part.name, Event.HEALTHY, HEALTHY_AFTER))
        elif part.state is State.BACKING_OFF:
            actions.append(SetTimer(part.name, Event.BACKED_OFF, seconds))
        return actions

    def _all_idle(self) -> bool:
        return all(part.state is State.IDLE for part in self.parts.values())

    # Starting and running

    def _begin(self, _: str, now: float) -> list[Action]:
        return self._feed(self.parts[CORE], Event.START, now)

    def _advance(self, name: str, now: float) -> list[Action]:
        if name == CORE and NGINX in self.parts:
            return self._feed(self.parts[NGINX], Event.START, now)
        self.phase = Phase.RUNNING
        return [Announce()]

    def _is_back(self, name: str, _: float) -> list[Action]:
        return [Say("info", f"{name} is back")]

    def _is_healthy(self, name: str, _: float) -> list[Action]:
        self.parts[name].backoff.healthy()
        return []

    def _restart(self, name: str, now: float) -> list[Action]:
        part = self.parts[name]
        limits = self.limits
        if part.backoff.is_spent(now, max_crashes=limits.max_crashes, window=limits.crash_window):
            times = f"more than {limits.max_crashes} times within {limits.crash_window:g} s"
            return self._fail(f"{name} crashed {times}; the last time: {part.why}", now)
        part.restarts += 1
        delay = part.backoff.next_delay()
        when = f"in {delay:g} s" if delay else "at once"
        said = Say("error", f"{name} {part.why}; it is started again {when}")
        event = Event.BACK_OFF if delay else Event.START
        return [said, *self._feed(part, event, now, seconds=delay)]

    # Ending

    def _fail_start(self, name: str, now: float) -> list[Action]:
        return self._fail(f"{name} could not be started: it {self.parts[name].why}", now)

    def _fail(self, reason: str, now: float) -> list[Action]:
        self.failure = reason
        return [Say("error", reason), *self._hasten("", now)]

    def _leave(self, _: str, now: float) -> list[Action]:
        delay = self.limits.drain_delay
        if not delay:
            return self._drain("", now)
        self.phase = Phase.LEAVING
        said = Say("info", f"stopping: not ready any more; requests are served for {delay:g} s as before")
        return [said, Leave(), SetTimer("", Happening.DELAY_OVER, delay)]

    def _is_back_to_leave(self, name: str, _: float) -> list[Action]:
        return [Say("info", f"{name} is back"), *([Leave()] if name == CORE else [])]

    def _drain(self, _: str, now: float) -> list[Action]:
        self.phase = Phase.DRAINING
        timeout = self.limits.drain_timeout
        self._drain_ends = now + timeout
        actions: list[Action] = [
            Say("info", f"stopping: requests in progress get {timeout:g} s to finish"),
            StopAccepting(),
            SetTimer("", Happening.DRAIN_DEADLINE, timeout),
        ]
        if NGINX not in self.parts:
            return actions + self._drain_core(now)
        reserve = min(timeout * CORE_SHARE, CORE_RESERVE)
        actions.append(SetTimer("", Happening.NGINX_DEADLINE, timeout - reserve))
        return actions + self._feed(self.parts[NGINX], Event.DRAIN, now, seconds=timeout - reserve)

    def _drain_core(self, now: float) -> list[Action]:
        left = max(0.0, self._drain_ends - now)
        return self._feed(self.parts[CORE], Event.DRAIN, now, seconds=left)

    def _next_to_drain(self, name: str, now: float) -> list[Action]:
        if name == NGINX:
            return [CancelTimer("", Happening.NGINX_DEADLINE), *self._drain_core(now)]
        return self._finish_if_idle(name, now)

    def _crashed_in_drain(self, name: str, now: float) -> list[Action]:
        return self._restart(name, now) if name == CORE else self._next_to_drain(name, now)

    def _cut_nginx(self, _: str, now: float) -> list[Action]:
        if NGINX not in self.parts:
            return []
        self._missed = "requests were still in progress at the drain deadline"
        return [Say("warn", self._missed), *self._feed(self.parts[NGINX], Event.TERMINATE, now)]

    def _drain_missed(self, _: str, now: float) -> list[Action]:
        self._missed = self._missed or "not everything had stopped at the drain deadline"
        return [Say("warn", self._missed), *self._hasten("", now)]

    def _hasten(self, _: str, now: float) -> list[Action]:
        """Ask everything to terminate now."""
        actions: list[Action] = []
        if self.phase is Phase.LEAVING:
            actions.append(CancelTimer("", Happening.DELAY_OVER))
        if self.phase is Phase.DRAINING:
            actions += [CancelTimer("", Happening.NGINX_DEADLINE), CancelTimer("", Happening.DRAIN_DEADLINE)]
        self.phase = Phase.STOPPING
        actions += [StopAccepting(), SetTimer("", Happening.KILL_DEADLINE, PATIENCE)]
        return actions + self._each(Event.TERMINATE, now)

    def _kill(self, _: str, now: float) -> list[Action]:
        return self._each(Event.KILL, now)

    def _kill_late(self, _: str, now: float) -> list[Action]:
        self._missed = self._missed or f"not everything had ended {PATIENCE:g} s after being told to"
        return [Say("warn", self._missed), *self._each(Event.KILL, now)]

    def _each(self, event: Event, now: float) -> list[Action]:
        actions: list[Action] = []
        for part in self.parts.values():
            actions += self._feed(part, event, now)
        return actions

    def _finish_if_idle(self, _: str, __: float) -> list[Action]:
        if self.is_over() or not self._all_idle():
            return []
        ending: list[Action] = [CancelTimer("", Happening.DRAIN_DEADLINE)]
        if self.phase is Phase.STOPPING:
            ending = [CancelTimer("", Happening.KILL_DEADLINE)]
        reason = self.failure or self._missed
        self.phase = Phase.FAILED if reason else Phase.STOPPED
        return [*ending, Exit(1 if reason else 0, reason)]

    def _nothing(self, _: str, __: float) -> list[Action]:
        return []

    def _row(self, what: Happening) -> Callable[[Machine, str, float], list[Action]]:
        return Machine._nothing if what in QUIET[self.phase] else self.PHASES[self.phase, what]

    PHASES: Final[dict[tuple[Phase, Happening], Callable[[Machine, str, float], list[Action]]]] = {
        (Phase.STARTING, Happening.BEGIN): _begin,
        (Phase.STARTING, Happening.STOP): _drain,
        (Phase.STARTING, Happening.STOP_FAST): _hasten,
        (Phase.STARTING, Happening.READY): _advance,
        (Phase.STARTING, Happening.CRASHED): _fail_start,
        (Phase.STARTING, Happening.HEALTHY): _is_healthy,
        (Phase.RUNNING, Happening.STOP): _leave,
        (Phase.RUNNING, Happening.STOP_FAST): _hasten,
        (Phase.RUNNING, Happening.READY): _is_back,
        (Phase.RUNNING, Happening.CRASHED): _restart,
        (Phase.RUNNING, Happening.HEALTHY): _is_healthy,
        (Phase.LEAVING, Happening.STOP): _hasten,
        (Phase.LEAVING, Happening.STOP_FAST): _hasten,
        (Phase.LEAVING, Happening.DELAY_OVER): _drain,
        (Phase.LEAVING, Happening.READY): _is_back_to_leave,
        (Phase.LEAVING, Happening.CRASHED): _restart,
        (Phase.LEAVING, Happening.HEALTHY): _is_healthy,
        (Phase.DRAINING, Happening.STOP): _hasten,
        (Phase.DRAINING, Happening.STOP_FAST): _hasten,
        (Phase.DRAINING, Happening.NGINX_DEADLINE): _cut_nginx,
        (Phase.DRAINING, Happening.DRAIN_DEADLINE): _drain_missed,
        (Phase.DRAINING, Happening.READY): _is_back,
        (Phase.DRAINING, Happening.CRASHED): _crashed_in_drain,
        (Phase.DRAINING, Happening.STOPPED): _next_to_drain,
        (Phase.DRAINING, Happening.HEALTHY): _is_healthy,
        (Phase.STOPPING, Happening.STOP): _kill,
        (Phase.STOPPING, Happening.STOP_FAST): _kill,
        (Phase.STOPPING, Happening.KILL_DEADLINE): _kill_late,
        (Phase.STOPPING, Happening.CRASHED): _finish_if_idle,
        (Phase.STOPPING, Happening.STOPPED): _finish_if_idle,
    }
    """What is done in a phase when something happens. A pair that is in neither table is a mistake in this file."""
