"""Verbs of the core's API about restarts: `restart`, `restarted`, `detach`.

    {"verb": "restart", "apps": [...] | "all": true, "method": "", "wait": seconds}   replace their processes
    {"verb": "restarted", "apps": [...], "wait": seconds}                             wait for what is under way
    {"verb": "detach", "pid": n, "wait": seconds}                                     let one process go
Answers of the first two: {"apps": {name: RestartStatus | null}}; of the third: {"pid", "app", "how", "gone"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from passenger.clock import Clock
from passenger.errors import PassengerError
from passenger.pool.pool import Pool

LONGEST_WAIT: Final = 86400.0
METHODS: Final = frozenset({"", "rolling", "blocking"})
BY_COMMAND: Final = "passenger restart-app"


class RestartVerbs:
    """What the API is given; each method is a verb."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def restart(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the processes of some applications, or of all."""
        names = self._pool.names() if question.get("all") is True else self._named(question)
        method, deadline = question.get("method", ""), self._deadline(question)
        if not isinstance(method, str) or method not in METHODS:
            raise PassengerError(f"there is no restart method {method!r}", hint="rolling or blocking")
        self._pool.restart(names, why=BY_COMMAND, method=method)
        return await self._results(names, deadline)

    async def restarted(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Wait until no restart of these applications is under way, and say how the latest went."""
        return await self._results(self._named(question), self._deadline(question))

    async def detach(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Let a process finish its requests and end. The only one of an application is replaced first."""
        pid = question.get("pid")
        process = self._pool.process(pid) if isinstance(pid, int) else None
        if process is None:
            raise PassengerError(
                f"process {pid} is no application process of this instance",
                hint="`passenger status` lists them; one that has ended is not listed",
            )
        deadline = self._deadline(question)
        how = self._pool.detach(process)
        is_gone = await self._pool.gone(process, deadline)
        return {"pid": process.pid, "app": process.group.name, "how": how, "gone": is_gone}

    def _named(self, question: Mapping[str, Any]) -> list[str]:
        asked = question.get("apps")
        if not isinstance(asked, list) or not asked:
            raise PassengerError("no application was named", hint='"apps": [NAME, ...]')
        known = self._pool.names()
        for name in asked:
            if name not in known:
                listed = ", ".join(known) or "none; the instance may be stopping"
                raise PassengerError(f"there is no application {name!r} here", hint=f"applications: {listed}")
        return asked

    async def _results(self, names: list[str], deadline: float) -> dict[str, Any]:
        await self._pool.restarted(names, deadline)
        groups = {group["name"]: group["restart"] for group in self._pool.snapshot()["groups"]}
        return {"apps": {name: groups.get(name) for name in names}}

    def _deadline(self, question: Mapping[str, Any]) -> float:
        wait = question.get("wait", 0)
        if not isinstance(wait, int | float) or isinstance(wait, bool) or not 0 <= wait <= LONGEST_WAIT:
            raise PassengerError(f"{wait!r} is no time to wait", hint=f"seconds, at most {LONGEST_WAIT:g}")
        return self._clock.monotonic() + wait
