"""Drives a real Pool, with still spawners and a still clock, through any order of events and holds it to its promises.

`PoolDriver` has one method per thing that can happen; each brings the loop to rest and checks. Promises: nobody is
answered twice, queues are first come first served, no session goes to a process that ended, nobody waits while a
place is free, limits hold; `finish` proves that nobody was forgotten and that nothing is left.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from random import Random

from passenger.config.model import App
from passenger.pool.check import check
from passenger.pool.limits import PoolLimits
from passenger.pool.model import Process, ProcessState
from passenger.pool.pool import Pool
from passenger.pool.session import RefusalReason, Session
from tests.support.pool import (
    LogLines,
    RecordingWaiter,
    Start,
    StillClock,
    StillFactory,
    StillProcess,
    app,
    limits,
    turn,
)

NAMES = ("a", "b", "c", "d")


class PoolDriver:
    """One pool under test."""

    def __init__(self, seed: int, apps: dict[str, App], pool_limits: PoolLimits) -> None:
        self.loop = asyncio.new_event_loop()
        self.lines = LogLines()
        self.clock = StillClock()
        self.factory = StillFactory()
        self.apps = apps
        self.pool = Pool(
            loop=self.loop,
            clock=self.clock,
            log=self.lines.log,
            factory=self.factory,
            limits=pool_limits,
            apps=apps,
            random=Random(seed).random,
            check=True,
        )
        self.pool.errand_runner = self._begin_errand
        self.errands: list[Callable[[], None]] = []
        """What to call when one is over."""
        self.ledger = self.pool._ledger
        self.queues: dict[int, OrderedDict[RecordingWaiter, None]] = {}
        self.queue_of: dict[RecordingWaiter, int] = {}
        self.pinned: dict[RecordingWaiter, Process] = {}
        """Who waits for which process."""
        self.aside: dict[RecordingWaiter, None] = {}
        """Who waits for a session that takes no place."""
        self.sessions: list[Session] = []
        self.processes: list[StillProcess] = []
        self.granted = self.refused = self.departed = self.asked = 0
        self.is_stopped = False
        self._in_get: RecordingWaiter | None = None

    # What can happen

    def get(self, name: str) -> None:
        waiter = self._waiter(f"{name}{self.asked}")
        group = self.ledger.groups.get(name)
        self._in_get = waiter
        self.pool.get(name, waiter)
        self._in_get = None
        if not waiter.answers:
            assert group is not None
            self.queues.setdefault(id(group), OrderedDict())[waiter] = None
            self.queue_of[waiter] = id(group)
        self.settle()

    def get_from(self, index: int) -> None:
        """Somebody wants the process that has served it before, which may have ended since."""
        if not self.processes:
            return
        process = self.pool.process(self.processes[index % len(self.processes)].pid)
        assert process is not None
        if process.state is ProcessState.ASIDE and process not in process.group.errands:
            return  # it has served nobody yet
        waiter = self._waiter(f"{process.group.name}{self.asked} of {process.pid}")
        self.pinned[waiter] = process
        self.pool.get_from(process.group.name, waiter, ("gone", process.route))
        self.settle()

    def get_beside(self, name: str) -> None:
        """Somebody wants a session that takes no place."""
        waiter = self._waiter(f"{name}{self.asked} beside")
        self.aside[waiter] = None
        self.pool.get_beside(name, waiter, ())
        self.settle()

    def _waiter(self, name: str) -> RecordingWaiter:
        waiter = RecordingWaiter(name)
        waiter.on_answer = self._answered
        self.asked += 1
        return waiter

    def release(self, index: int) -> None:
        if self.sessions:
            self.pool.release(self._take_session(index))
            self.settle()

    def connection_failed(self, index: int) -> None:
        if self.sessions:
            self.pool.connection_failed(self._take_session(index), "refused")
            self.settle()

    def forget(self, index: int) -> None:
        unusual = self.pinned or self.aside
        if unusual and (index % 2 or not self.queue_of):
            waiter = list(unusual)[index % len(unusual)]
            del unusual[waiter]
            self.pool.forget(waiter)
            self.departed += 1
            self.settle()
        elif self.queue_of:
            waiter = list(self.queue_of)[index % len(self.queue_of)]
            self.queues[self.queue_of.pop(waiter)].pop(waiter)
            self.pool.forget(waiter)
            self.departed += 1
            self.settle()

    def spawn_succeeds(self, index: int) -> None:
        start = self._start(index)
        if start is not None:
            self.processes.append(start.succeed())
            self.settle()

    def spawn_fails(self, index: int) -> None:
        start = self._start(index)
        if start is not None:
            start.fail()
            self.settle()

    def exits(self, index: int) -> None:
        """A process ends, asked or not."""
        if self.processes:
            self.processes.pop(index % len(self.processes)).end(1)
            self.settle()

    def withdraw(self, index: int) -> None:
        if self.processes:
            self._told(index, lambda process: self.pool.withdraw(process, "told to"))

    def condemn(self, index: int, patience: float) -> None:
        if self.processes:
            self._told(index, lambda process: self.pool.condemn(process, "told to", patience=patience))

    def renew(self, index: int) -> None:
        if self.processes:
            process = self.pool.process(self.processes[index % len(self.processes)].pid)
            assert process is not None
            self.pool.renew(process, "too old")
            self.settle()

    def restart(self, names: list[str], method: str) -> None:
        known = self.pool.restart(names, why="told to", method=method)
        assert known == [name for name in names if name in self.ledger.groups]
        self.settle()

    def set_on_demand(self, name: str, *, is_so: bool) -> None:
        self.pool.set_on_demand(name, is_so=is_so, why="on demand")
        self.settle()

    def ask_errand(self, index: int) -> None:
        """A process asks for out-of-band work."""
        if self.processes:
            process = self.pool.process(self.processes[index % len(self.processes)].pid)
            assert process is not None
            self.pool.ask_errand(process)
            self.settle()

    def errand_over(self, index: int) -> None:
        if self.errands:
            self.errands.pop(index % len(self.errands))()
            self.settle()

    def _begin_errand(self, process: Process, over: Callable[[], None]) -> None:
        assert not process.is_engaged()
        assert not process.takes_requests()
        self.errands.append(over)

    def _told(self, index: int, what: Callable[[Process], None]) -> None:
        pid = self.processes[index % len(self.processes)].pid
        process = self.pool.process(pid)
        assert process is not None, "a process that has not ended is known by its pid"
        what(process)
        assert not process.takes_requests()
        self.settle()

    def obeys(self) -> None:
        """Every process that was asked to stop ends."""
        asked = [process for process in self.processes if process.asked]
        self.processes = [process for process in self.processes if not process.asked]
        for process in asked:
            process.end()
        self.settle()

    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.pool.tick()
        self.settle()

    def apply(self, apps: dict[str, App], pool_limits: PoolLimits) -> None:
        if not self.is_stopped:
            self.apps = apps
            self.pool.apply(pool_limits, apps)
            self.settle()

    def stop(self) -> asyncio.Task[bool]:
        self.is_stopped = True
        task = self.loop.create_task(self.pool.drain(self.clock.now + 3600))
        self.settle()
        return task

    # The end

    def finish(self) -> None:
        """Everything that was accepted gets its answer, everything ends, nothing is left."""
        task = self.stop()
        for _ in range(10_000):
            if task.done():
                break
            if self.sessions:
                self.release(0)
            elif self.errands:
                self.errand_over(0)
            elif self._start(0) is not None:
                self.spawn_succeeds(0)
            elif any(process.asked for process in self.processes):
                self.obeys()
            else:
                self.time_passes(1.0)
        assert task.done(), f"the pool does not come to rest: {self.pool!r}"
        assert task.result()
        assert not [*self.queue_of, *self.pinned, *self.aside], "somebody was never answered"
        assert self.granted + self.refused + self.departed == self.asked
        assert self.ledger.is_empty()
        assert not self.ledger.waiting
        assert (self.ledger.enabled, self.ledger.spawning, self.ledger.surging) == (0, 0, 0)
        assert not self.factory.open_starts()
        assert all(spawner.is_closed for spawner in self.factory.spawners)
        self.close()

    def close(self) -> None:
        timer = self.pool._timer
        if timer is not None:
            timer.cancel()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        turn(self.loop)
        self.loop.close()
        self.lines.close()

    def settle(self) -> None:
        turn(self.loop, 3)
        check(self.ledger)

    # Promises

    def _answered(self, waiter: RecordingWaiter) -> None:
        assert waiter.answers == 1, "answered twice"
        if waiter.refusal is not None:
            self.refused += 1
            self._check_refusal(waiter)
        else:
            self.granted += 1
            session = waiter.granted()
            assert not session.process.running.is_gone  # type: ignore[attr-defined]
            self._check_order(waiter)
            if waiter in self.aside and not session.is_beside:
                session = self.pool.step_aside(session)
            self.sessions.append(session)
        self.pinned.pop(waiter, None)
        self.aside.pop(waiter, None)
        queue = self.queue_of.pop(waiter, None)
        if queue is not None:
            del self.queues[queue][waiter]

    def _check_refusal(self, waiter: RecordingWaiter) -> None:
        refusal = waiter.refused()
        if refusal.reason is RefusalReason.QUEUE_FULL:
            group = self.ledger.groups[refusal.app]
            assert len(group.waiters) + group.pinned >= self.apps[refusal.app].max_request_queue_size
        elif refusal.reason in {RefusalReason.SPAWN_FAILED, RefusalReason.BACKING_OFF}:
            assert refusal.error is not None
            assert refusal.retry_after > 0

    def _check_order(self, waiter: RecordingWaiter) -> None:
        process = waiter.granted().process
        group = process.group
        if meant := self.pinned.get(waiter):
            assert process is meant or not meant.stays() or meant.group is not group, f"{waiter} got {process}"
            return
        if waiter in self.aside:
            return
        queue = self.queues.get(id(group))
        if queue:
            first = next(iter(queue))
            assert waiter is first, f"{waiter} overtook {first}"

    def _take_session(self, index: int) -> Session:
        return self.sessions.pop(index % len(self.sessions))

    def _start(self, index: int) -> Start | None:
        starts = self.factory.open_starts()
        self.factory.starts = starts
        return starts[index % len(starts)] if starts else None


def random_apps(random: Random) -> dict[str, App]:
    names = random.sample(NAMES, random.randint(0, len(NAMES)))
    return {name: random_app(name, random) for name in names}


def random_app(name: str, random: Random) -> App:
    return app(
        f"/srv/{name}",
        min_instances=random.choice((0, 0, 1, 2, 3)),
        max_instances=random.choice((None, None, 1, 2, 3)),
        thread_count=random.choice((1, 1, 1, 2, 5)),
        max_request_queue_size=random.choice((0, 1, 3, 10)),
        app_env=random.choice(("production", "production", "staging")),
        shutdown_timeout=random.choice((0.1, 10.0)),
        max_requests=random.choice((0, 0, 1, 5)),
        max_worker_age=random.choice((0.0, 0.0, 3.0, 50.0)),
        drain_timeout=random.choice((0.0, 5.0, 600.0)),
        restart_method=random.choice(("rolling", "rolling", "blocking")),
        max_out_of_band_work_instances=random.choice((0, 1, 1, 2)),
        max_surge=random.choice((1, 1, 2, 5)),
        ready_when=random.choice(("first", "min_instances")),
    )


def random_limits(random: Random) -> PoolLimits:
    return limits(random.randint(1, 6), idle=random.choice((0.0, 5.0, 60.0)), parallel=random.randint(1, 3))


def random_step(driver: PoolDriver, random: Random) -> None:
    """One thing happens."""
    index = random.randrange(1 << 16)
    kind = random.choices(range(len(_WEIGHTS)), _WEIGHTS)[0]
    if kind == 0:
        driver.get(random.choice(NAMES))
    elif kind == 1:
        driver.release(index)
    elif kind == 2:
        driver.spawn_succeeds(index)
    elif kind == 3:
        driver.spawn_fails(index)
    elif kind == 4:
        driver.exits(index)
    elif kind == 5:
        driver.obeys()
    elif kind == 6:
        driver.forget(index)
    elif kind == 7:
        driver.time_passes(random.choice((0.0, 0.3, 1.0, 6.0, 61.0)))
    elif kind == 8:
        driver.connection_failed(index)
    elif kind == 9:
        driver.withdraw(index)
    elif kind == 10:
        driver.condemn(index, random.choice((0.0, 5.0)))
    elif kind == 11:
        driver.renew(index)
    elif kind == 12:
        names = random.sample(NAMES, random.randint(1, 2))
        driver.restart(names, random.choice(("", "rolling", "blocking")))
    elif kind == 13:
        driver.set_on_demand(random.choice(NAMES), is_so=random.random() < 0.3)
    elif kind == 14:
        driver.get_from(index)
    elif kind == 15:
        driver.get_beside(random.choice(NAMES))
    elif kind == 16:
        driver.ask_errand(index)
    elif kind == 17:
        driver.errand_over(index)
    else:
        driver.apply(random_apps(random), random_limits(random))


_WEIGHTS = (30, 26, 14, 2, 3, 4, 4, 10, 1, 1, 1, 1, 2, 1, 6, 3, 2, 2, 1)
