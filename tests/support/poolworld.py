"""A ledger to set up in a few words and decisions to read as words, for tables of (state, event, actions)."""

from __future__ import annotations

from typing import Any

from passenger.config.model import App
from passenger.pool import actions as act
from passenger.pool import events as ev
from passenger.pool.check import check
from passenger.pool.decide import decide
from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, Spawning
from passenger.pool.session import Session, Waiter
from tests.support.pool import RecordingWaiter, StillProcess, limits, spawn_error


class World:
    """A ledger on a clock; processes are called p1, p2 ... in the order in which they became ready."""

    def __init__(self, *, size: int = 6, idle: float = 300.0, parallel: int = 2, **apps: App) -> None:
        self.now = 1000.0
        self.ledger = Ledger(limits(size, idle=idle, parallel=parallel), jitter=lambda: 0.5)
        for name, options in apps.items():
            self.ledger.add_group(name, options)
        self.names: dict[Process, str] = {}
        self.processes: dict[str, Process] = {}
        self.starts: list[Spawning] = []
        self.sessions: dict[str, Session] = {}
        self.kept: list[int] = []
        """Numbers of generations whose preloader is to stay."""
        self.waiters: dict[str, RecordingWaiter] = {}

    # What happens; each answers with the actions as words

    def do(self, event: ev.Event) -> list[str]:
        actions = decide(self.ledger, event, now=self.now)
        check(self.ledger)
        return [words for action in actions if (words := self._words(action))]

    def start(self) -> list[str]:
        return self.do(ev.Started())

    def arrive(self, group: str, *waiters: str) -> list[str]:
        words = []
        for name in waiters:
            waiter = self.waiters[name] = RecordingWaiter(name)
            self.group(group).counters.requests += 1
            words += self.do(ev.Arrived(self.group(group), waiter))
        return words

    def depart(self, waiter: str, *, is_late: bool = False) -> list[str]:
        return self.do(ev.Departed(self.waiters[waiter], is_late))

    def release(self, waiter: str) -> list[str]:
        return self.do(ev.Released(self.sessions.pop(waiter)))

    def unreachable(self, waiter: str) -> list[str]:
        return self.do(ev.Unreachable(self.sessions.pop(waiter), spawn_error("refused"), 0.0))

    def ready(self, group: str = "", *, concurrency: int = 0) -> list[str]:
        spawning = self._take_start(group)
        places = concurrency or spawning.generation.app.thread_count
        return self.do(ev.Ready(spawning, StillProcess(places)))

    def ready_late(self, spawning: Spawning) -> list[str]:
        return self.do(ev.Ready(spawning, StillProcess()))

    def fail(self, group: str = "", *, why: str = "it broke") -> list[str]:
        return self.do(ev.SpawnFailed(self._take_start(group), spawn_error(why), 0.0))

    def exit(self, process: str) -> list[str]:
        return self.do(ev.Exited(self.processes[process], spawn_error("it ended"), 0.0))

    def withdraw(self, process: str, why: str = "told to") -> list[str]:
        return self.do(ev.Withdrawn(self.processes[process], why))

    def condemn(self, process: str, why: str = "told to", *, patience: float = 0.0) -> list[str]:
        return self.do(ev.Condemned(self.processes[process], why, patience))

    def restart(self, *groups: str, method: str = "") -> list[str]:
        return self.do(ev.RestartAsked(tuple(map(self.group, groups)), method, "told to"))

    def on_demand(self, group: str, *, is_so: bool = True) -> list[str]:
        return self.do(ev.OnDemand(self.group(group), is_so, "on demand"))

    def outlived(self, process: str) -> list[str]:
        return self.do(ev.Outlived(self.processes[process], "too old"))

    def tick(self, seconds: float = 0.0) -> list[str]:
        self.now += seconds
        return self.do(ev.Ticked())

    def configure(self, *, size: int = 6, idle: float = 300.0, parallel: int = 2, **apps: App) -> list[str]:
        return self.do(ev.Reconfigured(limits(size, idle=idle, parallel=parallel), apps))

    def stop(self) -> list[str]:
        return self.do(ev.Stopped())

    def give_up(self) -> list[str]:
        return self.do(ev.GivenUp())

    def with_ready(self, group: str, count: int, *, age: float = 10.0) -> World:
        """The group has this many idle processes, which have lived for a while."""
        for _ in range(count):
            surge = bool(self.group(group).outdated)
            self.starts.append(self.ledger.begin_spawn(self.group(group), surge=surge, now=self.now))
            self.ready(group)
        self.now += age
        return self

    # Looking

    def group(self, name: str) -> Group:
        groups: dict[str, Group] = {group.name: group for group in self.ledger.all_groups()}
        return groups[name]

    def _take_start(self, group: str) -> Spawning:
        spawning = next(start for start in self.starts if group in {"", start.group.name})
        self.starts.remove(spawning)
        return spawning

    def _words(self, action: act.Action) -> str:
        match action:
            case act.Grant(waiter, session):
                self.sessions[_name(waiter)] = session
                return f"grant {_name(waiter)} {self._process(session.process)}"
            case act.Refuse(waiter, refusal):
                after = f" {refusal.retry_after}s" if refusal.retry_after else ""
                return f"refuse {_name(waiter)} {refusal.reason.name}{after}"
            case act.Spawn(spawning):
                self.starts.append(spawning)
                return f"{'replace' if spawning.surge else 'spawn'} {spawning.group.name}"
            case act.CallOff(spawning):
                if spawning in self.starts:
                    self.starts.remove(spawning)
                return f"call off {spawning.group.name}"
            case act.Watch(process):
                return f"watch {self._process(process)}"
            case act.Retire(process, why):
                return f"retire {self._process(process)}: {why}"
            case act.CloseGeneration(generation):
                return f"close g{generation.number}"
            case act.TakeOver():
                return ""
            case act.KeepLoaded(generation):
                self.kept.append(generation.number)
                return ""
            case act.RestartOver(group, restart):
                return f"restart of {group.name} {restart.state.value}"
        return self._about_process(action)

    def _about_process(self, action: Any) -> str:
        verb = {
            act.AskToStop: "stop",
            act.Terminate: "TERM",
            act.Kill: "KILL",
            act.Dispose: "dispose",
            act.RunErrand: "errand",
            act.DropErrand: "no errand",
        }[type(action)]
        return f"{verb} {self._process(action.process)}"

    def _process(self, process: Process) -> str:
        if process not in self.names:
            name = self.names[process] = f"p{len(self.names) + 1}"
            self.processes[name] = process
        return self.names[process]


def _name(waiter: Waiter) -> str:
    assert isinstance(waiter, RecordingWaiter)
    return waiter.name
