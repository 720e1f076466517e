"""The watchdog's decisions as a table: every pair is defined, histories give the expected actions, random walks end."""

from __future__ import annotations

import random

import pytest

from passenger.watchdog.component import TABLE, TIMERS, Do, Event, Outcome, State
from passenger.watchdog.limits import Limits
from passenger.watchdog.machine import (
    CORE,
    NGINX,
    PATIENCE,
    Action,
    Announce,
    CancelTimer,
    Component,
    Exit,
    Leave,
    Machine,
    Say,
    SetTimer,
    StopAccepting,
)
from passenger.watchdog.phases import QUIET, Happening, Phase

LIMITS = Limits(start_timeout=60.0, drain_delay=0.0, drain_timeout=50.0, max_crashes=10, crash_window=60.0)


def machine(*, nginx: bool = True, limits: Limits = LIMITS) -> Machine:
    return Machine((CORE, NGINX) if nginx else (CORE,), limits)


def running(*, nginx: bool = True, limits: Limits = LIMITS) -> Machine:
    """A machine in the phase RUNNING."""
    made = machine(nginx=nginx, limits=limits)
    made.happened(Happening.BEGIN, 0.0)
    made.component_event(CORE, Event.READY, 1.0)
    if nginx:
        made.component_event(NGINX, Event.READY, 2.0)
    assert made.phase is Phase.RUNNING
    return made


def told(actions: list[Action]) -> list[tuple[str, Do]]:
    """What processes are told."""
    return [(action.name, action.do) for action in actions if isinstance(action, Component)]


def exit_of(actions: list[Action]) -> Exit | None:
    return next((action for action in actions if isinstance(action, Exit)), None)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_component_pair_is_defined(state: State, event: Event) -> None:
    """No state can meet an event that it has no row for; a program that runs never becomes idle without its exit."""
    row = TABLE[state, event]
    has_process = {State.STARTING, State.RUNNING, State.CONDEMNED, State.DRAINING, State.TERMINATING, State.KILLING}
    if state in has_process and row.state in {State.IDLE, State.BACKING_OFF}:
        assert event is Event.GONE
    if row.do is Do.START:
        assert state not in has_process
    assert (row.outcome is Outcome.CRASHED) <= (event is Event.GONE)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("what", Happening)
def test_every_phase_pair_is_defined_once(phase: Phase, what: Happening) -> None:
    """A pair is either acted upon or declared quiet."""
    assert ((phase, what) in Machine.PHASES) != (what in QUIET[phase])


def test_start_in_order() -> None:
    """Core, then nginx, then the announcement."""
    made = machine()
    assert made.happened(Happening.BEGIN, 0.0) == [SetTimer(CORE, Event.UNWELL, 60.0), Component(CORE, Do.START)]
    assert told(made.component_event(CORE, Event.READY, 1.0)) == [(NGINX, Do.START)]
    assert Announce() in made.component_event(NGINX, Event.READY, 2.0)
    assert made.phase is Phase.RUNNING


def test_start_without_nginx() -> None:
    """With no web server of ours, a ready core is a ready instance."""
    made = machine(nginx=False)
    made.happened(Happening.BEGIN, 0.0)
    assert Announce() in made.component_event(CORE, Event.READY, 1.0)


def test_failed_start_stops_everything() -> None:
    """nginx that cannot start takes the core with it; status 1 with the reason."""
    made = machine()
    made.happened(Happening.BEGIN, 0.0)
    made.component_event(CORE, Event.READY, 1.0)
    actions = made.component_event(NGINX, Event.GONE, 2.0, "exited with status 1")
    assert told(actions) == [(CORE, Do.TERMINATE)]
    assert exit_of(made.component_event(CORE, Event.GONE, 3.0)) == Exit(
        1, "nginx could not be started: it exited with status 1"
    )
    assert made.phase is Phase.FAILED


def test_start_timeout_condemns() -> None:
    """A hanging core is killed first; the error state begins with its exit."""
    made = machine()
    made.happened(Happening.BEGIN, 0.0)
    assert told(made.component_event(CORE, Event.UNWELL, 60.0)) == [(CORE, Do.KILL)]
    assert made.parts[CORE].state is State.CONDEMNED
    ending = exit_of(made.component_event(CORE, Event.GONE, 60.1, "was killed by SIGKILL"))
    assert ending == Exit(1, "core could not be started: it was not ready within 60 s")


def test_back_off_doubles_and_is_reset_by_health() -> None:
    """At once, 0.1 s, 0.2 s ... 10 s; after a minute of health at once again."""
    made = running(limits=LIMITS._replace(max_crashes=100))
    delays = []
    for turn in range(10):
        actions = made.component_event(CORE, Event.GONE, 10.0 + turn, "exited with status 1")
        timers = [a.seconds for a in actions if isinstance(a, SetTimer) and a.event is Event.BACKED_OFF]
        delays.append(timers[0] if timers else 0.0)
        if timers:
            assert told(actions) == []
            actions = made.component_event(CORE, Event.BACKED_OFF, 10.0 + turn)
        assert told(actions) == [(CORE, Do.START)]
        made.component_event(CORE, Event.READY, 10.0 + turn)
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    made.component_event(CORE, Event.HEALTHY, 100.0)
    assert told(made.component_event(CORE, Event.GONE, 101.0, "exited")) == [(CORE, Do.START)]


def test_crash_budget() -> None:
    """The crash after the last allowed one ends the instance; old crashes do not count."""
    made = running(limits=LIMITS._replace(max_crashes=2))
    for now in (10.0, 100.0, 101.0):
        made.component_event(CORE, Event.GONE, now, "exited with status 9")
        made.component_event(CORE, Event.BACKED_OFF, now)
        made.component_event(CORE, Event.READY, now)
    assert made.phase is Phase.RUNNING
    actions = made.component_event(CORE, Event.GONE, 102.0, "exited with status 9")
    assert told(actions) == [(NGINX, Do.TERMINATE)]
    ending = exit_of(made.component_event(NGINX, Event.GONE, 103.0))
    assert ending is not None
    assert ending.status == 1
    assert "core crashed more than 2 times within 60 s; the last time: exited with status 9" in ending.reason


def test_exit_status_zero_without_being_told_is_a_crash() -> None:
    """Only an exit that was asked for is none."""
    made = running()
    assert told(made.component_event(CORE, Event.GONE, 5.0, "exited with status 0")) == [(CORE, Do.START)]


def test_drain_is_nginx_then_core() -> None:
    """Clients are refused first, nginx finishes, the core gets what is left of the deadline, then nothing is left."""
    made = running()
    actions = made.happened(Happening.STOP, 100.0)
    assert StopAccepting() in actions
    assert told(actions) == [(NGINX, Do.DRAIN)]
    assert actions.index(StopAccepting()) < actions.index(Component(NGINX, Do.DRAIN, 40.0))
    actions = made.component_event(NGINX, Event.GONE, 110.0)
    assert Component(CORE, Do.DRAIN, 40.0) in actions
    assert CancelTimer("", Happening.NGINX_DEADLINE) in actions
    assert exit_of(made.component_event(CORE, Event.GONE, 111.0)) == Exit(0, "")
    assert made.phase is Phase.STOPPED


def test_slow_nginx_leaves_time_for_the_core() -> None:
    """At its part of the deadline nginx is cut, the core drains in the rest, and the status says that it was late."""
    made = running()
    made.happened(Happening.STOP, 0.0)
    assert told(made.happened(Happening.NGINX_DEADLINE, 40.0)) == [(NGINX, Do.TERMINATE)]
    assert Component(CORE, Do.DRAIN, 9.0) in made.component_event(NGINX, Event.GONE, 41.0)
    ending = exit_of(made.component_event(CORE, Event.GONE, 42.0))
    assert ending is not None
    assert ending.status == 1


def test_missed_drain_deadline_terminates_then_kills() -> None:
    """TERM at the deadline, KILL when patience ends, status 1."""
    made = running(nginx=False)
    made.happened(Happening.STOP, 0.0)
    actions = made.happened(Happening.DRAIN_DEADLINE, 50.0)
    assert told(actions) == [(CORE, Do.TERMINATE)]
    assert SetTimer("", Happening.KILL_DEADLINE, PATIENCE) in actions
    assert told(made.happened(Happening.KILL_DEADLINE, 55.0)) == [(CORE, Do.KILL)]
    ending = exit_of(made.component_event(CORE, Event.GONE, 55.1))
    assert ending is not None
    assert ending.status == 1


def test_second_and_third_stop() -> None:
    """The second signal terminates everything at once (status 0: it was asked for), the third kills."""
    made = running()
    made.happened(Happening.STOP, 0.0)
    assert set(told(made.happened(Happening.STOP, 1.0))) == {(CORE, Do.TERMINATE), (NGINX, Do.TERMINATE)}
    assert set(told(made.happened(Happening.STOP, 2.0))) == {(CORE, Do.KILL), (NGINX, Do.KILL)}
    made.component_event(NGINX, Event.GONE, 3.0)
    assert exit_of(made.component_event(CORE, Event.GONE, 3.0)) == Exit(0, "")


def test_core_that_crashes_while_nginx_drains_is_restarted() -> None:
    """Requests that wait in nginx still get an answer."""
    made = running()
    made.happened(Happening.STOP, 0.0)
    assert told(made.component_event(CORE, Event.GONE, 1.0, "was killed by SIGSEGV")) == [(CORE, Do.START)]
    made.component_event(CORE, Event.READY, 2.0)
    assert told(made.component_event(NGINX, Event.GONE, 3.0)) == [(CORE, Do.DRAIN)]


def test_stop_while_starting() -> None:
    """A core that is not ready yet is terminated, and the instance ends with status 0."""
    made = machine()
    made.happened(Happening.BEGIN, 0.0)
    assert told(made.happened(Happening.STOP, 1.0)) == [(CORE, Do.TERMINATE)]
    assert exit_of(made.component_event(CORE, Event.GONE, 2.0)) == Exit(0, "")


class World:
    """Carries out actions on imaginary processes: what a machine says must make sense there."""

    def __init__(self, made: Machine, seed: int) -> None:
        self.machine = made
        self.random = random.Random(seed)
        self.alive: set[str] = set()
        self.timers: set[tuple[str, Event | Happening]] = set()
        self.exits: list[Exit] = []
        self.now = 0.0

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Component(name, Do.START, _):
                    assert name not in self.alive, "two processes of one component"
                    self.alive.add(name)
                case Component(name, _, _):
                    assert name in self.alive, f"{action} without a process"
                case SetTimer(name, event, seconds):
                    assert seconds >= 0
                    self.timers.add((name, event))
                case CancelTimer(name, event):
                    self.timers.discard((name, event))
                case Exit():
                    assert not self.alive, "exit with processes left"
                    self.exits.append(action)
                case Say() | Announce() | StopAccepting():
                    pass
        for name, part in self.machine.parts.items():
            assert (name in self.alive) == (part.state not in {State.IDLE, State.BACKING_OFF})
            for state, event in TIMERS.items():
                assert ((name, event) in self.timers) <= (part.state is state), "a timer of a state that was left"

    def step(self) -> None:
        """Something that can really happen, happens."""
        self.now += self.random.choice((0.0, 0.01, 1.0, 20.0))
        choices: list[tuple[str, Event | Happening]] = [*self.timers]
        for name in self.alive:
            choices += [(name, Event.GONE), (name, Event.READY), (name, Event.UNWELL)]
        if self.random.random() < 0.05:
            choices = [("", self.random.choice((Happening.STOP, Happening.STOP_FAST)))]
        if not choices:
            return
        self.happen(*self.random.choice(sorted(choices, key=repr)))

    def happen(self, name: str, event: Event | Happening) -> None:
        self.timers.discard((name, event))
        if isinstance(event, Happening):
            self.carry_out(self.machine.happened(event, self.now))
            return
        if event is Event.GONE:
            self.alive.discard(name)
        self.carry_out(self.machine.component_event(name, event, self.now, "for a reason"))

    def finish(self) -> None:
        """From anywhere, a stop and the ends of all processes lead to exactly one exit."""
        for _ in range(3):
            self.happen("", Happening.STOP)
        for name in sorted(self.alive):
            self.happen(name, Event.GONE)


@pytest.mark.parametrize("nginx", [True, False])
@pytest.mark.parametrize("seed", range(300))
def test_random_walks_end_in_one_exit(seed: int, *, nginx: bool) -> None:
    """Whatever happens, one process per component, no timer of a left state, and in the end exactly one Exit."""
    world = World(machine(nginx=nginx), seed)
    world.happen("", Happening.BEGIN)
    for _ in range(world.random.randrange(60)):
        if world.machine.is_over():
            break
        world.step()
    world.finish()
    assert len(world.exits) == 1
    assert world.machine.phase in {Phase.STOPPED, Phase.FAILED}
    assert (world.exits[0].status == 0) == (world.machine.phase is Phase.STOPPED)


DELAYED = LIMITS._replace(drain_delay=5.0)


def test_leaving_comes_before_the_drain() -> None:
    """With a delay only readiness ends at first: nothing is told to stop, no address is closed."""
    made = running(limits=DELAYED)
    actions = made.happened(Happening.STOP, 10.0)
    assert [action for action in actions if not isinstance(action, Say)] == [
        Leave(),
        SetTimer("", Happening.DELAY_OVER, 5.0),
    ]
    actions = made.happened(Happening.DELAY_OVER, 15.0)
    assert made.phase is Phase.DRAINING
    assert StopAccepting() in actions
    assert SetTimer("", Happening.DRAIN_DEADLINE, 50.0) in actions, "the drain has all of its own time"


def test_a_core_that_crashes_while_leaving_comes_back_not_ready() -> None:
    """It serves the rest of the delay, and load balancers are not called back."""
    made = running(limits=DELAYED)
    made.happened(Happening.STOP, 10.0)
    assert (CORE, Do.START) in told(made.component_event(CORE, Event.GONE, 11.0, "was killed"))
    assert Leave() in made.component_event(CORE, Event.READY, 12.0)
    assert Leave() not in made.component_event(NGINX, Event.GONE, 12.5, "was killed")
    assert Leave() not in made.component_event(NGINX, Event.READY, 13.0)
    assert made.phase is Phase.LEAVING


@pytest.mark.parametrize("second", [Happening.STOP, Happening.STOP_FAST])
def test_a_second_stop_while_leaving_is_fast(second: Happening) -> None:
    """Whoever asks twice does not want to wait."""
    made = running(limits=DELAYED)
    made.happened(Happening.STOP, 10.0)
    actions = made.happened(second, 11.0)
    assert CancelTimer("", Happening.DELAY_OVER) in actions
    assert told(actions) == [(CORE, Do.TERMINATE), (NGINX, Do.TERMINATE)]
    assert made.phase is Phase.STOPPING


def test_who_is_not_ready_yet_need_not_leave() -> None:
    """No load balancer sends anything to an instance that was never ready."""
    made = machine(limits=DELAYED)
    made.happened(Happening.BEGIN, 0.0)
    made.happened(Happening.STOP, 1.0)
    assert made.phase is Phase.DRAINING
