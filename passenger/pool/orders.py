"""What limits, files and people ask of the pool beside requests: restart these, let that one go, tell me when.

Rule: an order changes nothing by itself. It becomes an event, and `decide` says what follows.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Final

from passenger.pool import events as ev
from passenger.pool.conditions import Conditions
from passenger.pool.journal import FailureObserver, Journal, Notify
from passenger.pool.ledger import Ledger
from passenger.pool.model import Group, Process, ProcessState

DETACHED: Final = "detached by an operator"


class Orders(abc.ABC):
    """The part of `Pool` for orders."""

    _ledger: Ledger
    _conditions: Conditions

    _journal: Journal

    @abc.abstractmethod
    def _step(self, event: ev.Event) -> None: ...

    def tell_of_events(self, notify: Notify) -> None:
        """From now on somebody is told what the log is told, as far as hooks are for it."""
        self._journal.notify = notify

    def tell_of_failures(self, failed: FailureObserver) -> None:
        """From now on somebody is told of each start that failed, with all that is known."""
        self._journal.failed = failed

    # One process

    def process(self, pid: int) -> Process | None:
        """The process with this pid, if it is one of an application and has not ended."""
        return self._ledger.process(pid)

    def processes_of(self, app: str) -> list[Process]:
        """All processes of an application that have not ended, whatever they do."""
        group = self._ledger.groups.get(app)
        return [] if group is None else list(group.processes)

    def withdraw(self, process: Process, why: str) -> None:
        """The process finishes its requests, gets no further one and ends; another one follows if it is needed."""
        self._step(ev.Withdrawn(process, why))

    def renew(self, process: Process, why: str) -> None:
        """The process serves until another one, started beside the limits, is ready; then it is withdrawn.

        If none can be started it goes on, and it is tried again after a wait.
        """
        self._step(ev.Outlived(process, why))

    def condemn(self, process: Process, why: str, *, patience: float = 0.0) -> None:
        """End the process without waiting for its requests: SIGKILL at once, or `patience` seconds after SIGTERM."""
        self._step(ev.Condemned(process, why, patience))

    def detach(self, process: Process) -> str:
        """An operator wants the process gone: "withdrawn", "replaced first" if it is the only one that serves, or
        "leaving already"."""
        if not process.stays():
            return "leaving already"
        if process.takes_requests() and process.group.enabled == 1:
            self.renew(process, DETACHED)
            return "replaced first"
        self.withdraw(process, DETACHED)
        return "withdrawn"

    async def gone(self, process: Process, deadline: float) -> bool:
        """Wait until the process has ended; returns whether it has at `deadline` (monotonic)."""
        return await self._conditions.until(lambda: process.state is ProcessState.GONE, deadline)

    # Whole applications

    def queue_of(self, app: str) -> int:
        """Requests of an application that wait for a process."""
        group = self._ledger.groups.get(app)
        return 0 if group is None else len(group.waiters) + group.pinned

    def names(self) -> list[str]:
        """The applications that take requests."""
        return list(self._ledger.groups)

    def restart(self, names: Iterable[str], *, why: str, method: str = "") -> list[str]:
        """Replace the processes of these applications; `restarted` tells how that ended.

        `method` is "rolling", "blocking", or "" for what each has configured. Answers with those that are known.
        """
        groups = self._known(names)
        if groups:
            self._step(ev.RestartAsked(tuple(groups), method, why))
        return [group.name for group in groups]

    def set_on_demand(self, name: str, *, is_so: bool, why: str) -> None:
        """Start processes of this application for requests only, or as configured again.

        When it is so, and each time it is said again, processes that have served a request are retired.
        """
        for group in self._known([name]):
            self._step(ev.OnDemand(group, is_so, why))

    async def restarted(self, names: Iterable[str], deadline: float) -> dict[str, str]:
        """Wait until no restart of these applications is under way; then application -> why its restart failed.

        After `deadline` (monotonic) the ones that are still under way are named, too.
        """
        wanted = list(names)
        await self._conditions.until(lambda: not self._restarting(wanted), deadline)
        restarts = {group.name: group.restart for group in self._known(wanted)}
        failed = {name: restart.error.summary for name, restart in restarts.items() if restart and restart.error}
        return failed | dict.fromkeys(self._restarting(wanted), "its processes are still being replaced")

    def _restarting(self, names: Iterable[str]) -> list[str]:
        groups = self._known(names)
        return [group.name for group in groups if group.restart is not None and group.restart.is_running()]

    def _known(self, names: Iterable[str]) -> list[Group]:
        groups = self._ledger.groups
        return [groups[name] for name in dict.fromkeys(names) if name in groups]
