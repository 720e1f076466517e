"""The ApplicationPool: takes requests for sessions, has `decide` decide, carries out what it says.

Rules.
1. `get` with a free process, `get` behind a queue, `release` without a queue and `release` to the next in a queue touch
   a few counters and nothing else: no task, no future, no timer, no log line, no decision. They are short cuts for
   events whose decision is known: see `_only_queue_changes` for why that is so behind a queue.
2. Waiters are called back in the order of the decisions. A callback may call the pool again: the ledger is always
   ahead of the actions, which wait in one queue until the one being carried out returns.
3. A callback, spawner or process that raises is logged and ends nothing but itself.
4. One timer, once a second, and only while something is due by time alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.clock import Clock
from passenger.config.model import App
from passenger.log import Log
from passenger.pool import actions as act
from passenger.pool import events as ev
from passenger.pool.belonging import Belonging
from passenger.pool.check import check
from passenger.pool.conditions import Conditions
from passenger.pool.decide import decide
from passenger.pool.journal import Journal
from passenger.pool.ledger import Ledger
from passenger.pool.limits import PoolLimits
from passenger.pool.model import Group, Process, ProcessState
from passenger.pool.reconfiguring import changes_of
from passenger.pool.reload import Changes
from passenger.pool.session import Refusal, RefusalReason, Session, Waiter
from passenger.pool.snapshot import pool_status
from passenger.pool.starts import CheckHealth, Starts, new_error
from passenger.pool.wear import by_requests
from passenger.spawn.spawner import Exit, SpawnerFactory
from passenger.wire.status import PoolStatus

TICK: Final = 1.0
"""Seconds between looks at what is due by time alone."""

KILL_GRACE: Final = 5.0
"""Seconds that killed processes get to be seen dead before `drain` returns without them."""

_ENABLED: Final = ProcessState.ENABLED


class Pool(Belonging):
    """The processes of all applications. Call everything from the loop's thread."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        log: Log,
        factory: SpawnerFactory,
        limits: PoolLimits,
        apps: Mapping[str, App],
        random: Callable[[], float],
        check_health: CheckHealth | None = None,
        check: bool = False,
    ) -> None:
        """`random` gives numbers in [0, 1); `check` runs the invariants after every step (for tests)."""
        self._loop = loop
        self._now = clock.monotonic
        self._clock = clock
        self._log = log
        self._journal = Journal(log, clock)
        self._check = check
        self._ledger = Ledger(limits, jitter=random)
        for name, app in apps.items():
            self._ledger.add_group(name, app)
        self._groups = self._ledger.groups
        self._starving = self._ledger.starving
        self._starts = Starts(
            loop=loop,
            clock=clock,
            factory=factory,
            journal=self._journal,
            report=self._on_start_over,
            check_health=check_health,
        )
        self._todo: deque[act.Action] = deque()
        self._is_acting = False
        self._timer: asyncio.TimerHandle | None = None
        self._was_started = False
        self._conditions = Conditions(loop, clock)
        self._do: dict[type[act.Action], Callable[[Any], None]] = {
            act.Grant: self._grant,
            act.Refuse: self._refuse,
            act.Spawn: lambda action: self._starts.begin(action.spawning),
            act.CallOff: lambda action: self._starts.call_off(action.spawning),
            act.Watch: self._watch,
            act.Retire: self._retire,
            act.AskToStop: self._ask_to_stop,
            act.Terminate: self._terminate,
            act.Kill: self._kill,
            act.Dispose: self._dispose,
            act.RunErrand: self._run_errand,
            act.DropErrand: self._journal.errand_dropped,
            act.CloseGeneration: lambda action: self._starts.retire(action.generation),
            act.TakeOver: lambda action: self._starts.take_over(action.generation),
            act.KeepLoaded: lambda action: self._starts.keep_loaded(action.generation),
            act.RestartOver: self._restart_over,
        }

    # Requests

    def get(self, app: str, waiter: Waiter) -> None:
        """Call the waiter back with a session or a refusal: now if possible, else when a process is free."""
        group = self._groups.get(app)
        if group is None:
            waiter.session_refused(self._refusal_without_group(app))
            return
        group.counters.requests += 1
        places = group.places
        if places.free:
            waiter.session_granted(places.take())
        elif group.waiters and self._only_queue_changes(group) and not group.is_queue_full():
            self._ledger.enqueue(group, waiter)
        else:
            self._step(ev.Arrived(group, waiter))

    def release(self, session: Session) -> None:
        """The session has ended, well or not. Releasing it again does nothing."""
        if session.closed:
            self._end_beside(session)
            return
        session.closed = True
        process = session.process
        group = process.group
        waiting = len(group.waiters)
        if process.state is not _ENABLED or self._starving or process.pinned:
            self._step(ev.Released(session))
        elif not waiting:
            session.socket.sessions -= 1
            process.processed += 1
            group.places.give_back(process, self._now())
            if process.processed >= process.retire_at:
                self.renew(process, by_requests(process))
        elif waiting > 1 and not self._is_acting and self._only_queue_changes(group):
            process.processed += 1
            self._pass_on(self._ledger.next_waiter(group), Session(process, session.socket))
            if process.processed >= process.retire_at:
                self.renew(process, by_requests(process))
        else:
            self._step(ev.Released(session))

    def _only_queue_changes(self, group: Group) -> bool:
        """Whether a longer or shorter queue, but not an empty one, leaves every other decision as it was.

        It does when the group starts nothing and has processes: `wanted` stays above or at zero as it was, for its
        sign only depends on whether somebody waits, and it is neither starving nor hopeless.
        """
        return group.enabled > 0 and not group.spawning and not group.leaving

    def forget(self, waiter: Waiter, *, is_late: bool = False) -> None:
        """The waiter, not yet called back, wants no session any more. Does nothing for one that does not wait.

        `is_late`: it was sent away, because it has waited for too long.
        """
        if waiter in self._ledger.waiting:
            self._step(ev.Departed(waiter, is_late))
        elif self._todo:
            self._take_back(waiter)

    def connection_failed(self, session: Session, reason: str) -> None:
        """No connection to the process of this session can be made: release the session, replace the process."""
        if session.closed and not self._is_open_beside(session):
            return
        session.closed = True
        process = session.process
        summary = f"process {process.pid} does not accept connections: {reason}"
        self._step(ev.Unreachable(session, new_error(summary, "unreachable"), self._clock.wall()))

    # Life

    def start(self) -> None:
        """Start `min_instances` processes of every application."""
        self._step(ev.Started())

    def is_started(self) -> bool:
        """Every application has had its `min_instances`, or failed to start, or the pool has no room for more."""
        if not self._was_started:
            ledger = self._ledger
            has_room = ledger.room() > 0 or ledger.spawning
            self._was_started = all(group.started or not has_room for group in self._groups.values())
        return self._was_started

    def apply(self, limits: PoolLimits, apps: Mapping[str, App]) -> dict[str, Any]:
        """Take over a new configuration; no accepted request is lost. The report lists applications by what happens.

        `rolling` ones have their processes replaced from now on: `restarted` tells how that ended.
        """
        if self._ledger.is_stopping:
            return Changes().report()
        event = ev.Reconfigured(limits, apps)
        changes = changes_of(self._ledger, event)
        self._step(event)
        return changes.report()

    async def drain(self, deadline: float) -> bool:
        """Serve what waits, take nothing new, stop everything. At `deadline` (monotonic) refuse and kill the rest.

        Returns whether everything had ended by itself. To be called when the request layer accepts nothing more.
        """
        self._step(ev.Stopped())
        is_clean = await self._conditions.until(self._ledger.is_empty, deadline)
        if not is_clean:
            self.kill_all()
        await self._starts.settled(KILL_GRACE)
        # What was killed, and what became ready although its start was called off, has still to be seen dead.
        await self._conditions.until(self._ledger.is_empty, max(deadline, self._now() + KILL_GRACE))
        return is_clean

    def kill_all(self) -> None:
        """Refuse everything that waits, call off every start, kill every process, now."""
        self._step(ev.GivenUp())

    def tick(self) -> None:
        """Look at what is due: idle processes, starts put off, processes that do not stop. The timer calls this."""
        self._step(ev.Ticked())

    def snapshot(self) -> PoolStatus:
        """The pool as `status` shows it."""
        return pool_status(
            self._ledger, now=self._now(), wall=self._clock.wall(), preloader_of=self._starts.preloader_of
        )

    def __repr__(self) -> str:
        return f"<Pool {self._ledger!r}>"

    # Deciding and acting

    def _step(self, event: ev.Event) -> None:
        self._todo.extend(decide(self._ledger, event, now=self._now()))
        if self._check:
            check(self._ledger)
        if not self._is_acting:
            self._act()
        if self._timer is None and self._ledger.needs_ticks():
            self._timer = self._loop.call_later(TICK, self._on_timer)
        if self._conditions:
            self._conditions.look()

    def _act(self) -> None:
        self._is_acting = True
        try:
            while self._todo:
                action = self._todo.popleft()
                try:
                    self._do[type(action)](action)
                except Exception as error:  # rule 3: whoever raised, the next action is somebody else's
                    self._journal.broken(action, error)
        finally:
            self._is_acting = False

    def _pass_on(self, waiter: Waiter, session: Session) -> None:
        """The place that became free goes to the next waiter as it is: nobody waits while there is another."""
        if self._check:
            check(self._ledger)
        self._is_acting = True
        try:
            waiter.session_granted(session)
        except Exception as error:
            self._journal.broken(act.Grant(waiter, session), error)
            self.release(session)
        finally:
            self._is_acting = False
        if self._todo:
            self._act()

    def _grant(self, action: act.Grant) -> None:
        try:
            action.waiter.session_granted(action.session)
        except Exception:
            self.release(action.session)
            raise

    def _refuse(self, action: act.Refuse) -> None:
        self._journal.refused(action.refusal)
        action.waiter.session_refused(action.refusal)

    def _watch(self, action: act.Watch) -> None:
        process = action.process
        self._journal.ready(process)
        process.running.when_exited(lambda exit_: self._on_exit(process, exit_))

    def _on_start_over(self, event: ev.Ready | ev.SpawnFailed) -> None:
        group = event.spawning.group
        self._step(event)
        if isinstance(event, ev.SpawnFailed):
            self._journal.backing_off(group, self._now())

    def _on_exit(self, process: Process, exit_: Exit) -> None:
        lifetime = self._now() - process.started_at
        self._journal.exited(process, exit_, lifetime)
        summary = f"process {process.pid} {exit_}, {lifetime:.1f} s after it was ready"
        error = new_error(summary, "crashed")
        self._step(ev.Exited(process, error, self._clock.wall()))
        if process.group.last_error is error:
            self._journal.backing_off(process.group, self._now())

    def _retire(self, action: act.Retire) -> None:
        self._journal.retired(action.process, action.why)
        for session in list(action.process.upgraded):
            session.process_leaves()

    def _ask_to_stop(self, action: act.AskToStop) -> None:
        action.process.close_parked()
        action.process.running.request_stop()

    def _terminate(self, action: act.Terminate) -> None:
        self._journal.signalled(action.process, "SIGTERM")
        action.process.running.terminate()

    def _kill(self, action: act.Kill) -> None:
        self._journal.signalled(action.process, "SIGKILL")
        action.process.running.kill()

    def _restart_over(self, action: act.RestartOver) -> None:
        self._journal.restart_over(action.group, action.restart, self._now())

    def _dispose(self, action: act.Dispose) -> None:
        action.process.close_parked()
        action.process.running.dispose()

    def _take_back(self, waiter: Waiter) -> None:
        """The waiter left between the decision about it and its call: only from within another waiter's call."""
        for action in self._todo:
            if isinstance(action, (act.Grant, act.Refuse)) and action.waiter is waiter:
                self._todo.remove(action)
                if isinstance(action, act.Grant):
                    self.release(action.session)
                return

    def _refusal_without_group(self, app: str) -> Refusal:
        reason = RefusalReason.STOPPING if self._ledger.is_stopping else RefusalReason.UNKNOWN_APP
        return Refusal(reason, app)

    # Waiting

    def _on_timer(self) -> None:
        self._timer = None
        self.tick()
