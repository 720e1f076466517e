"""Hooks: programs of the operator that are run when something happens in the instance.

Rules.
1. Nobody waits for a hook: what happens is put into a queue, and the queue is bounded (QUEUE). What finds it full is
   dropped and counted, and the log says so once per flood.
2. Of each hook one run at a time; different hooks do not wait for each other.
3. Never as root: see `core/hook_run.py`. The environment holds what happened, and nothing of the core's own.
4. An event without a hook costs one look into a dictionary.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from passenger.config.hooks import EVENTS, Hooks
from passenger.log import Log

QUEUE: Final = 64
"""Events that may wait for one hook."""

Facts = Mapping[str, object]
RunHook = Callable[[str, tuple[str, ...], Mapping[str, str], float], Awaitable[str]]
"""(event, command, environment, timeout) -> "" or why it failed."""


class HookQueue:
    """One hook with the events that wait for it."""

    def __init__(self, event: str, run: RunHook, log: Log) -> None:
        self.command: tuple[str, ...] = ()
        self.timeout = 0.0
        self.counts = {"runs": 0, "failed": 0, "dropped": 0}
        self._event = event
        self._run = run
        self._log = log
        self._waiting: deque[Mapping[str, str]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_flooded = False

    def add(self, environ: Mapping[str, str]) -> None:
        """Something has happened."""
        if len(self._waiting) >= QUEUE:
            self.counts["dropped"] += 1
            if not self._is_flooded:
                self._is_flooded = True
                self._log.warn("hook too slow: events are dropped", hook=self._event, waiting=QUEUE)
            return
        self._waiting.append(environ)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Nothing more is run; what runs is ended."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def status(self) -> dict[str, Any]:
        return {**self.counts, "waiting": len(self._waiting), "running": self._task is not None}

    async def _work(self) -> None:
        try:
            while self._waiting:
                environ = self._waiting.popleft()
                if not self.command:
                    continue
                self.counts["runs"] += 1
                try:
                    problem = await self._run(self._event, self.command, environ, self.timeout)
                except Exception as error:  # no descriptors, mostly; the next event is served all the same
                    problem = f"{type(error).__name__}: {error}"
                if problem:
                    self.counts["failed"] += 1
                    self._log.error("hook failed", hook=self._event, program=self.command[0], reason=problem)
        finally:
            self._task = None
            if self._is_flooded:
                self._is_flooded = False
                self._log.warn("hook keeps up again", hook=self._event, dropped=self.counts["dropped"])


class HookTable:
    """All hooks of the instance; `apply` says which there are."""

    def __init__(self, *, instance: str, run: RunHook, log: Log) -> None:
        self._instance = instance
        self._queues = {event: HookQueue(event, run, log) for event in EVENTS}
        self._active: dict[str, HookQueue] = {}

    def apply(self, hooks: Hooks) -> None:
        """Take over a configuration; a run that is under way goes on."""
        for event, queue in self._queues.items():
            queue.command, queue.timeout = getattr(hooks, event), hooks.timeout
        self._active = {event: queue for event, queue in self._queues.items() if queue.command}

    def tell(self, event: str, facts: Facts) -> None:
        """Something has happened. From the loop only."""
        queue = self._active.get(event)
        if queue is not None:
            queue.add(environment(event, self._instance, facts))

    async def status(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `hooks`."""
        return {"hooks": {event: queue.status() for event, queue in self._queues.items()}}

    def counts(self) -> dict[str, dict[str, int]]:
        """What became of events, by hook."""
        return {event: queue.counts for event, queue in self._queues.items()}

    async def close(self) -> None:
        """The core ends."""
        self._active = {}
        for queue in self._queues.values():
            await queue.close()


def environment(event: str, instance: str, facts: Facts) -> dict[str, str]:
    """The variables that tell a hook what has happened."""
    told = {"name": event, "instance": instance, **facts}
    return {f"PASSENGER_HOOK_{name.upper()}": str(value).replace("\0", "") for name, value in told.items()}
