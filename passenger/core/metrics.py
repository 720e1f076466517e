"""/metrics: what the core knows of itself and its applications, put together when somebody asks.

Rules.
1. Nothing is counted for it before the first question, and prometheus-client is imported only then, in a thread.
2. One answer at a time: whoever asks meanwhile gets the same one.
3. The loop is held up for one family of metrics at a time; memory is read in a thread, within a budget.
4. Switched off, the page is not there (404), and requests are not watched.
"""

from __future__ import annotations

import asyncio
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from passenger.core import metric_names as names
from passenger.core.loop_lag import LoopLag
from passenger.core.memory import own_resident
from passenger.core.memory_shares import MemoryShares
from passenger.core.metric_rows import Row, Snapshot, pids_of, rows, telemetry_rows
from passenger.core.request_watch import RequestWatch
from passenger.core.step_sums import StepSums
from passenger.log import Log
from passenger.pool.pool import Pool
from passenger.request.errorresponse import plain, response
from passenger.request.handler import RequestHandler

HookCounts = Callable[[], Mapping[str, Mapping[str, Any]]]
StepMap = Mapping[tuple[str, str], tuple[int, float]]
Answer = Callable[[bytes], None]
_USER: Final = "metrics"
_OUTCOMES: Final = {"runs": "run", "failed": "failed", "dropped": "dropped"}


class Metrics:
    """The page of one core."""

    def __init__(
        self,
        *,
        name: str,
        version: str,
        started_at: float,
        loop: asyncio.AbstractEventLoop,
        pool: Pool,
        handler: RequestHandler,
        is_ready: Callable[[], bool],
        hooks: HookCounts,
        telemetry: Callable[[], Mapping[str, Any]],
        log: Log,
        steps: StepSums,
        watch: RequestWatch,
        memory: MemoryShares,
    ) -> None:
        self._build = (version, platform.python_version(), name)
        self._started_at = started_at
        self._loop = loop
        self._pool = pool
        self._handler = handler
        self._is_ready = is_ready
        self._hooks = hooks
        self._telemetry = telemetry
        self._log = log
        self._steps = steps
        self._watch = watch
        self._memory = memory
        self._lag = LoopLag(loop)
        self._is_on = False
        self._waiting: list[Answer] = []
        self._task: asyncio.Task[None] | None = None
        self._cost = 0.0

    def apply(self, *, is_on: bool) -> None:
        """Take over a configuration."""
        self._is_on = is_on
        if not is_on:
            self._watch.drop(_USER)
            self._lag.close()

    def ask(self, answer: Answer) -> None:
        """Somebody wants the page: `answer` gets the whole response, soon."""
        if not self._is_on:
            answer(plain(404, "metrics are switched off: see admin.metrics"))
            return
        self._waiting.append(answer)
        if self._task is None:
            self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        try:
            data = await self._page()
        except Exception as error:  # an own bug: it must cost the page, not the core
            self._log.error("metrics cannot be told", traceback="".join(traceback.format_exception(error)))
            data = plain(500, "metrics cannot be told: the log says why")
        waiting, self._waiting, self._task = self._waiting, [], None
        for answer in waiting:
            answer(data)

    async def _page(self) -> bytes:
        exposition = await asyncio.to_thread(_exposition)
        figures = self._watch.take(_USER)
        self._lag.wanted()
        began = time.thread_time()
        pool = self._pool.snapshot()
        cost = time.thread_time() - began
        memory = await self._memory.of(pids_of(pool))
        cost += self._memory.cpu_seconds
        began = time.thread_time()
        parts = []
        traffic = self._handler.traffic
        for group in pool["groups"]:
            group["traffic"] = traffic.status(group["name"])
        snapshot = Snapshot(
            pool=pool,
            requests=self._handler.status(),
            figures=figures.by_app,
            gates={name: traffic.counted(name) for name in self._pool.names()},
            memory=memory,
            steps=self._of_present(self._steps.sums),
        )
        families = exposition.families([*self._of_core(), *rows(snapshot)])
        cost += time.thread_time() - began
        while True:
            began = time.thread_time()
            family = next(families, None)
            cost += time.thread_time() - began
            if family is None:
                break
            parts.append(family)
            await asyncio.sleep(0)
        self._cost = cost
        return response(200, b"".join(parts), content_type=exposition.CONTENT_TYPE)

    def _of_present(self, sums: StepMap) -> StepMap:
        """Without those of applications that are not configured any more."""
        present = set(self._pool.names())
        return {labels: took for labels, took in sums.items() if labels[0] in present}

    def _of_core(self) -> Iterator[Row]:
        yield names.BUILD, self._build, 1
        yield names.CORE_STARTED, (), self._started_at
        yield names.CORE_CPU, (), time.process_time()
        yield names.CORE_MEMORY, (), own_resident()
        yield names.READY, (), float(self._is_ready())
        yield names.LOOP_LAG, (), self._lag.histogram
        yield names.SCRAPE_CPU, (), self._cost
        yield names.MEMORY_AGE, (), self._memory.age()
        yield from telemetry_rows(self._telemetry())
        for event, counts in self._hooks().items():
            for key, outcome in _OUTCOMES.items():
                yield names.HOOKS, (event, outcome), counts[key]


def _exposition() -> Any:
    """Takes 0.1 s and 4 MiB, once."""
    from passenger.core import exposition

    return exposition
