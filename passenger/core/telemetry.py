"""The core's telemetry: what it tells UstRouter of requests and of everything else, while there is a sink.

Rules.
1. Without a sink there is no observer, no tracer and no timer: nothing is done for a request.
2. Redaction happens in the core, at the source: of a path its digest (or what `telemetry.paths` says), never a query;
   of the headers the id of the request and nothing else (`request_records`).
3. Refusals are counted here and told once in REFUSALS_EVERY: a flood of them is no flood of records.
4. Samples of memory and CPU come from what `status` reads as well, in a thread, once in `sample_interval`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from passenger.clock import Clock
from passenger.config.model import App, InstanceConfig
from passenger.config.telemetry import rate_of
from passenger.core import tracing
from passenger.core.api import Verb
from passenger.core.memory import Usages
from passenger.core.request_records import LONGEST_PATH, AppRules, RequestRecords
from passenger.errors import PassengerError
from passenger.log import Log
from passenger.pool.pool import Pool
from passenger.pool.session import RefusalReason
from passenger.request.handler import RequestHandler
from passenger.request.observed import Seen
from passenger.spawn.journey import Journey
from passenger.telemetry.courier import Courier
from passenger.telemetry.records import pack_event

REFUSALS_EVERY: Final = 10.0
FLUSH: Final = 10.0
"""Seconds that `telemetry flush` waits at most, unless it says otherwise."""
EVENTS: Final = {
    "detached_process": "exit",
    "max_request_time_reached": "request_time",
    "restarted": "restart",
    "restart_failed": "restart_failed",
}
"""What hooks are told of -> the kind of record."""


class Telemetry:
    """Follows the configuration: `apply` switches it on and off."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        courier: Courier,
        handler: RequestHandler,
        pool: Pool,
        log: Log,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._courier = courier
        self._handler = handler
        self._pool = pool
        self._log = log
        self._rules: dict[str, AppRules] = {}
        self._requests = RequestRecords(courier, self._count_refusal)
        self._is_on = False
        self._usages = Usages(now=clock.monotonic)
        self._sample_interval = 0.0
        self._sampling: asyncio.Task[None] | None = None
        self._refused: Counter[tuple[str, str]] = Counter()
        self._refusals_due: asyncio.TimerHandle | None = None

    def apply(self, config: InstanceConfig) -> None:
        """Take over a configuration."""
        section = config.instance.telemetry
        self._rules = {name: _rules(name, app) for name, app in config.apps.items()}
        wanted = section.has_sinks()
        if wanted != self._is_on:
            self._is_on = wanted
            if wanted:
                self._handler.tracer = self.begin
                self._handler.observe(self._requests.end)
            else:
                self._handler.observe_no_more(self._requests.end)
                self._handler.tracer = None
        self._sample_interval = section.sample_interval if wanted else 0.0
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None
        if self._sample_interval:
            self._sampling = self._loop.create_task(self._sample())

    def follow(self, config: InstanceConfig) -> None:
        """A reload: also an event of its own."""
        self.apply(config)
        if self._is_on:
            self._courier.tell(pack_event("reload", "", self._clock.monotonic(), {"apps": len(config.apps)}))

    def close(self) -> None:
        """The core ends; what fits is still handed over."""
        if self._sampling is not None:
            self._sampling.cancel()
        if self._refusals_due is not None:
            self._refusals_due.cancel()
            self._tell_refusals()
        self._courier.close()

    def begin(self, seen: Seen, pairs: bytes) -> bytes:
        """Tracer."""
        rules = self._rules.get(seen.app)
        if rules is None:
            return pairs
        found = tracing.begun(pairs, rules.rate, random.random)
        if found is None:
            return pairs
        trace, told = found
        seen.span = rules, trace
        return told if rules.tells_app else pairs

    # Everything else

    def happened(self, event: str, facts: Mapping[str, object]) -> None:
        """As hooks are told."""
        kind = EVENTS.get(event)
        if kind is not None and self._is_on:
            rest = {name: value for name, value in facts.items() if name != "app"}
            self._courier.tell(pack_event(kind, str(facts.get("app", "")), self._clock.monotonic(), rest))

    def spawned(self, journey: Journey) -> None:
        """JourneyObserver: a start is over, well or not."""
        if self._is_on:
            steps = [step for step in journey.steps() if step[1] != "not started"]
            failed = next((name for name, state, _ in steps if state == "failed"), "")
            facts = {"seconds": round(journey.seconds(), 6), "steps": steps} | ({"reason": failed} if failed else {})
            kind = "spawn_failed" if failed else "spawn"
            self._courier.tell(pack_event(kind, journey.app, self._clock.monotonic(), facts))

    def _count_refusal(self, app: str, reason: RefusalReason) -> None:
        self._refused[app, reason.value] += 1
        if self._refusals_due is None:
            self._refusals_due = self._loop.call_later(REFUSALS_EVERY, self._tell_refusals)

    def _tell_refusals(self) -> None:
        self._refusals_due = None
        refused, self._refused = self._refused, Counter()
        for (app, reason), count in refused.items():
            self._courier.tell(pack_event("refusals", app, self._clock.monotonic(), {"reason": reason, "count": count}))

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(self._sample_interval)
            try:
                await self._sample_once()
            except OSError as error:  # /proc is gone for a moment: the next look may go well
                self._log.warn("no sample of memory and CPU", reason=str(error))

    async def _sample_once(self) -> None:
        groups = self._pool.snapshot()["groups"]
        used = await self._usages.of([process["pid"] for group in groups for process in group["processes"]])
        now = self._clock.monotonic()
        for group in groups:
            mine = [used[process["pid"]] for process in group["processes"]]
            facts = {
                "processes": len(mine),
                "pss": sum(usage.pss or 0 for usage in mine),
                "private": sum(usage.private or 0 for usage in mine),
                "rss": sum(usage.rss or 0 for usage in mine),
                "cpu_seconds": round(sum(usage.cpu_seconds or 0.0 for usage in mine), 3),
            }
            self._courier.tell(pack_event("sample", group["name"], now, facts))

    # Verbs

    def telling(self) -> dict[str, Verb]:
        return {"telemetry": self.status_verb}

    def changing(self) -> dict[str, Verb]:
        return {"telemetry_flush": self.flush_verb}

    async def status_verb(self, _question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `telemetry`."""
        return {"telemetry": {"enabled": self._is_on, **self._courier.status()}}

    async def flush_verb(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Verb `telemetry_flush`."""
        if not self._is_on:
            raise PassengerError("no telemetry sink is configured", hint="see `[instances.NAME.telemetry]`")
        seconds = min(60.0, max(0.1, float(question.get("seconds", FLUSH))))
        try:
            await self._courier.flush(seconds)
        except TimeoutError:
            raise PassengerError(
                "UstRouter did not answer in time", hint="`passenger telemetry status` tells how it is"
            ) from None
        return {"telemetry": {"enabled": True, **self._courier.status()}}


def _rules(name: str, app: App) -> AppRules:
    section = app.telemetry
    longest = LONGEST_PATH if section.paths == "plain" else 0
    return AppRules(name.encode(), rate_of(section), section.paths, longest, section.traceparent)
