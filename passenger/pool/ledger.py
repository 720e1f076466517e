"""The state of the pool as one ledger: groups, their processes, who waits, and the totals that bound them.

Every method makes one change in all the places that must agree about it; which change to make is `decide`'s part.
`passenger.pool.check.check` says what "agree" means.

Rules.
1. No step on the way of a request grows with the number of processes, groups or waiting requests.
2. Processes that drain or stop don't count against the limits: they give memory back and take no request.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from passenger.config.model import App
from passenger.pool.limits import PoolLimits
from passenger.pool.model import Generation, Group, Process, ProcessState, Spawning
from passenger.pool.places import Places
from passenger.pool.session import Waiter
from passenger.pool.tiers import Tiers
from passenger.spawn.spawner import RunningProcess


class Ledger:
    """Everything the pool knows. `jitter` gives a random number in [0, 1)."""

    def __init__(self, limits: PoolLimits, *, jitter: Callable[[], float]) -> None:
        self.limits = limits
        self.jitter = jitter
        self.groups: dict[str, Group] = {}
        self.leaving: dict[Group, None] = {}
        """Groups that serve what they accepted and go; no new request finds them."""
        self.waiting: dict[Waiter, Group] = {}
        self.pinned: dict[Waiter, Process] = {}
        """Those of `waiting` that want one process and no other."""
        self.idle: OrderedDict[Process, None] = OrderedDict()
        """Enabled processes without a session, longest idle first."""
        self.draining: dict[Process, None] = {}
        self.stopping: dict[Process, None] = {}
        self.condemned: dict[Process, float] = {}
        """Processes that got SIGTERM although they may have sessions; the value says when SIGKILL follows."""
        self.enabled = 0
        self.aside = 0
        self.spawning = 0
        self.surging = 0
        # Groups that want a process and can't have it yet, each in order of arrival:
        self.starving: OrderedDict[Group, float] = OrderedDict()
        """Requests wait and there is no process at all; the value says since when."""
        self.rolling: OrderedDict[Group, None] = OrderedDict()
        """An old process is to be replaced (needs no room, only a turn)."""
        self.wanting: OrderedDict[Group, None] = OrderedDict()
        """Below `min_instances`, or more requests wait than there are places coming."""
        self.above_minimum: dict[Group, None] = {}
        self.backing_off: dict[Group, None] = {}
        self.aging: dict[Group, None] = {}
        """Groups whose processes have a greatest age."""
        self.wishing: dict[Group, None] = {}
        """Groups with processes that may want time for out-of-band work."""
        self.look_around = False
        """Something changed that may let one group take the place of another's idle process."""
        self.is_stopping = False

    # Questions

    def room(self) -> int:
        """Processes that `max_pool_size` still allows; negative after it was lowered."""
        return self.limits.max_pool_size - (self.enabled + self.aside + self.spawning - self.surging)

    def all_groups(self) -> list[Group]:
        return [*self.groups.values(), *self.leaving]

    def is_empty(self) -> bool:
        return not self.groups and not self.leaving

    def needs_ticks(self) -> bool:
        """Whether something becomes due by time alone."""
        if self.starving or self.wanting or self.draining or self.stopping or self.condemned or self.backing_off:
            return True
        return bool(self.aging or self.wishing) or (bool(self.above_minimum) and self.limits.pool_idle_time > 0)

    def process(self, pid: int) -> Process | None:
        processes = (process for group in self.all_groups() for process in group.processes)
        return next((process for process in processes if process.pid == pid), None)

    # Groups

    def add_group(self, name: str, app: App) -> Group:
        group = self.groups[name] = Group(name, app, self)
        self.note_size(group)
        return group

    def let_go(self, group: Group) -> None:
        """The group takes no new request."""
        if not group.leaving:
            del self.groups[group.name]
            self.leaving[group] = None
            group.leaving = True
            self.note_size(group)

    def forget_group(self, group: Group) -> None:
        del self.leaving[group]
        self.wishing.pop(group, None)
        for register in (self.starving, self.rolling, self.wanting, self.above_minimum, self.backing_off, self.aging):
            register.pop(group, None)

    def begin_generation(self, group: Group, app: App) -> Generation:
        """From now on processes are started with these options; the ones that run have become outdated."""
        group.last_number += 1
        group.generation = Generation(group.last_number, app)
        group.backoff.forgive()
        self.backing_off.pop(group, None)
        group.places_each = app.thread_count
        self.arrange(group)
        self.note_size(group)
        return group.generation

    def return_to(self, group: Group, generation: Generation) -> None:
        """Give up a generation none of whose processes was ever ready."""
        group.generation = generation
        group.fallback = None
        self.arrange(group)
        self.note_size(group)

    def drop_fallback(self, group: Group) -> None:
        """A process of the newest generation was ready: there is no way back."""
        group.fallback = None
        self._flatten(group)

    def arrange(self, group: Group) -> None:
        """Sort processes by generation: the newest are asked first."""
        enabled = [process for process in group.processes if process.state is ProcessState.ENABLED]
        group.outdated = {process: None for process in enabled if process.generation is not group.generation}
        group.places = Tiers(group.generation, self.idle) if group.outdated else Places(self.idle)
        for process in sorted(enabled, key=lambda process: process.last_used):
            group.places.stand(process)

    def _flatten(self, group: Group) -> None:
        if not group.outdated and group.fallback is None and isinstance(group.places, Tiers):
            group.places = group.places.newest

    # Requests

    def enqueue(self, group: Group, waiter: Waiter) -> None:
        group.waiters[waiter] = None
        self.waiting[waiter] = group

    def next_waiter(self, group: Group) -> Waiter:
        waiter = group.waiters.popitem(last=False)[0]
        del self.waiting[waiter]
        return waiter

    def pin(self, process: Process, waiter: Waiter) -> None:
        """The waiter wants this process and no other."""
        process.pinned[waiter] = None
        process.group.pinned += 1
        self.pinned[waiter] = process
        self.waiting[waiter] = process.group

    def next_pinned(self, process: Process) -> Waiter:
        waiter = next(iter(process.pinned))
        self.dequeue(waiter)
        return waiter

    def unpin(self, process: Process) -> None:
        """The process leaves: whoever waits for it may have any."""
        while process.pinned:
            self.enqueue(process.group, self.next_pinned(process))

    def dequeue(self, waiter: Waiter) -> Group | None:
        """Take a waiter out of its queue; None when it is in none."""
        group = self.waiting.pop(waiter, None)
        if group is not None and waiter in self.pinned:
            del self.pinned.pop(waiter).pinned[waiter]
            group.pinned -= 1
        elif group is not None:
            del group.waiters[waiter]
        return group

    # Processes

    def begin_spawn(self, group: Group, *, surge: bool, now: float) -> Spawning:
        spawning = Spawning(group, surge=surge, now=now)
        group.spawning[spawning] = None
        group.surging += surge
        self.spawning += 1
        self.surging += surge
        group.counters.spawns += 1
        return spawning

    def end_spawn(self, spawning: Spawning) -> bool:
        """The start is over, one way or the other. False when it was called off before."""
        group = spawning.group
        if spawning not in group.spawning:
            return False
        del group.spawning[spawning]
        group.surging -= spawning.surge
        self.spawning -= 1
        self.surging -= spawning.surge
        return True

    def attach(self, spawning: Spawning, running: RunningProcess, *, now: float) -> Process:
        """A process is ready; it takes requests from now on, or waits for the others of the first set."""
        group = spawning.group
        process = Process(group, spawning.generation, running, now=now)
        process.luck = self.jitter()
        group.processes[process] = None
        group.places_each = process.concurrency
        group.aside[process] = None
        self.aside += 1
        process.state = ProcessState.ASIDE
        if group.is_gathered():
            self.enable_all(group, now=now)
        return process

    def enable_all(self, group: Group, *, now: float) -> None:
        """Every process that waits for others takes requests from now on."""
        group.is_gathering = False
        for process in list(group.aside):
            if process not in group.errands:
                self.enable(process, now=now)

    def send_away(self, process: Process, *, until: float) -> None:
        """An enabled process takes no request for a while; `until`: by then it has to have finished what it runs."""
        group = process.group
        group.places.remove(process)
        group.enabled -= 1
        self.enabled -= 1
        group.aside[process] = None
        group.errands[process] = until
        self.aside += 1
        process.state = ProcessState.ASIDE
        self.note_size(group)

    def come_back(self, process: Process, *, now: float) -> None:
        del process.group.errands[process]
        self.enable(process, now=now)

    def enable(self, process: Process, *, now: float) -> None:
        """A process that was set aside takes requests from now on."""
        group = process.group
        process.last_used = now
        del group.aside[process]
        self.aside -= 1
        process.state = ProcessState.ENABLED
        group.enabled += 1
        self.enabled += 1
        if process.generation is not group.generation:
            group.outdated[process] = None
        group.routes[process.route] = process
        (group.places.stand if process.sessions else group.places.add)(process)
        self.note_size(group)

    def receive_late(self, spawning: Spawning, running: RunningProcess, *, now: float) -> Process:
        """A process became ready although its start was called off: it is only to be stopped."""
        process = Process(spawning.group, spawning.generation, running, now=now)
        process.state = ProcessState.DRAINING
        spawning.group.processes[process] = None
        if spawning.group.leaving:
            self.leaving[spawning.group] = None
        return process

    def withdraw(self, process: Process) -> None:
        """A process that stayed takes no new request from now on."""
        group = process.group
        if process.state is ProcessState.ENABLED:
            group.places.remove(process)
            group.outdated.pop(process, None)
            group.outlived.pop(process, None)
            group.enabled -= 1
            self.enabled -= 1
            self._flatten(group)
            self.note_size(group)
        else:
            del group.aside[process]
            self.aside -= 1
        process.state = ProcessState.DRAINING
        self.draining[process] = None
        group.routes.pop(process.route, None)
        group.wishes.pop(process, None)
        group.errands.pop(process, None)
        self.unpin(process)

    def used(self, process: Process, now: float) -> None:
        """An idle process is not really idle: it serves sessions that take no place."""
        process.group.places.remove(process)
        process.last_used = now
        process.group.places.add(process)

    def outlive(self, process: Process, why: str) -> None:
        """An enabled process is to be replaced for a reason of its own."""
        process.retire_at = process.expires_at = math.inf
        process.group.outlived.setdefault(process, why)

    def begin_stop(self, process: Process, *, now: float) -> None:
        self.draining.pop(process, None)
        process.state = ProcessState.STOPPING
        process.stop_asked_at = now
        self.stopping[process] = None

    def remove(self, process: Process) -> None:
        """The process has ended."""
        if process.stays():
            self.withdraw(process)
        process.state = ProcessState.GONE
        self.draining.pop(process, None)
        self.stopping.pop(process, None)
        self.condemned.pop(process, None)
        del process.group.processes[process]

    def note_size(self, group: Group) -> None:
        """Keep `above_minimum` true after the number of processes or `min_instances` changed."""
        if group.enabled > group.minimum:
            self.above_minimum[group] = None
        else:
            self.above_minimum.pop(group, None)
        if group.enabled >= group.minimum:
            group.started = True
        if group.enabled and group.app.max_worker_age:
            self.aging[group] = None
        else:
            self.aging.pop(group, None)

    def __repr__(self) -> str:
        totals = f"enabled={self.enabled} spawning={self.spawning} room={self.room()} queue={len(self.waiting)}"
        return f"<Ledger {totals} {self.all_groups()!r}>"
