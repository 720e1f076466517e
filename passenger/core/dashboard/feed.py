"""The stream of events that a dashboard lives on (server-sent events): one state for all who look, again and again.

    state   {"status": ..., "failures": [...], "loops": {...}, "may_act": bool, "now": seconds}
    series  {"step", "next", "columns", "apps": {name: {"first", "rows"}}}: what is new; at first an event for each
    limits  [{"app", "key", "value", "origin"}, ...]: at first, and after a reload

Rules.
1. Nothing runs while nobody looks. One state is made for all, and the time between two grows with what it costs.
2. Whoever does not take what was said gets nothing more until it has, and is cut off after PATIENCE.
3. A stream ends after LIFETIME, so that an old worker of nginx can end; the browser comes again by itself.
4. At most MOST at a time.
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from passenger.core.dashboard.troubles import Troubles
from passenger.core.series import COLUMNS, STEP, Series
from passenger.log import Log
from passenger.request.errorresponse import plain
from passenger.request.visit import Visit
from passenger.request.webconnection import WebConnection

EVERY: Final = 2.0
SHARE: Final = 0.05
"""Of the time, that making states may take."""
PATIENCE: Final = 30.0
LIFETIME: Final = 300.0
MOST: Final = 16
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\n\r\nretry: 2000\n\n"
)
Status = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class Viewer:
    """Somebody who looks."""

    def __init__(self, connection: WebConnection, now: float) -> None:
        self.connection = connection
        self.came_at = now
        self.took_at = now
        """When it was last seen to have taken everything."""


class Feed:
    """Of one core."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        status: Status,
        series: Series,
        troubles: Troubles,
        log: Log,
    ) -> None:
        self.may_act = False
        self._loop = loop
        self._status = status
        self._series = series
        self._troubles = troubles
        self._log = log
        self._viewers: list[Viewer] = []
        self._greetings: set[asyncio.Task[None]] = set()
        self._is_leaving = False
        self._limits: list[dict[str, str]] = []
        self._told = 0
        """Number of the next row of series that nobody was told yet."""
        self._task: asyncio.Task[None] | None = None

    def limits(self, limits: list[dict[str, str]]) -> None:
        """What the configuration says now."""
        self._limits = limits
        self._tell(event("limits", limits))

    def join(self, visit: Visit) -> None:
        """Somebody looks."""
        if self._is_leaving:
            visit.answer(plain(503, "the instance is stopping"))
            return
        self._sort_out()
        if len(self._viewers) >= MOST:
            visit.answer(plain(503, f"{MOST} dashboards are open already; close one of them"))
            return
        visit.connection.begin_stream(HEAD)
        self._viewers.append(Viewer(visit.connection, self._loop.time()))
        greeting = self._loop.create_task(self._greet(visit.connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)
        if self._task is None:
            self._told = self._series.points
            self._task = self._loop.create_task(self._run())

    def leave(self) -> None:
        """The instance is stopping: everybody has to go, and nobody comes any more."""
        self._is_leaving = True
        self.close()

    def close(self) -> None:
        """Everybody has to go."""
        for task in (*self._greetings, *((self._task,) if self._task else ())):
            task.cancel()
        for viewer in self._viewers:
            viewer.connection.end_stream()
        self._viewers, self._task = [], None

    async def _greet(self, connection: WebConnection) -> None:
        """What was before, an application at a time; what is told to all meanwhile may be the same rows."""
        try:
            say(connection, event("limits", self._limits))
            say(connection, event("state", await self._state()))
            for app in self._series.apps():
                await asyncio.sleep(0)
                say(connection, event("series", self._rows({app: self._series.of(app)})))
        except Exception as error:  # an own bug: it must cost the page, not the core
            self._broken(error)
            connection.end_stream()

    async def _run(self) -> None:
        try:
            pause = EVERY
            while True:
                await asyncio.sleep(pause)
                self._sort_out()
                if not self._viewers:
                    break
                began = time.thread_time()
                self._tell(event("state", await self._state()))
                rows = {app: self._series.of(app, self._told) for app in self._series.apps()}
                if any(told["rows"] for told in rows.values()):
                    self._tell(event("series", self._rows(rows)))
                self._told = self._series.points
                pause = max(EVERY, (time.thread_time() - began) / SHARE)
        except Exception as error:  # as above
            self._broken(error)
            for viewer in self._viewers:
                viewer.connection.end_stream()
            self._viewers = []
        self._task = None

    def _broken(self, error: Exception) -> None:
        self._log.error("the dashboard cannot be told", traceback="".join(traceback.format_exception(error)))

    async def _state(self) -> dict[str, Any]:
        self._series.wanted()
        status = (await self._status({}))["status"]
        groups = status["pool"]["groups"]
        self._troubles.look(groups)
        return {
            "status": status,
            "failures": self._troubles.failures(),
            "loops": self._troubles.loops(groups),
            "may_act": self.may_act,
            "now": time.time(),
        }

    def _rows(self, apps: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {"step": STEP, "next": self._series.points, "columns": COLUMNS, "apps": apps}

    def _sort_out(self) -> None:
        """Those who have left, who are too slow, and who have been here for long."""
        now = self._loop.time()
        for viewer in self._viewers:
            if not viewer.connection.is_behind:
                viewer.took_at = now
            if now - viewer.took_at > PATIENCE:
                viewer.connection.cut()
            elif now - viewer.came_at > LIFETIME:
                viewer.connection.end_stream()
        self._viewers = [viewer for viewer in self._viewers if viewer.connection.is_streaming]

    def _tell(self, data: bytes) -> None:
        for viewer in self._viewers:
            if not viewer.connection.is_behind:
                say(viewer.connection, data)


def say(connection: WebConnection, data: bytes) -> None:
    """To somebody who may have left meanwhile."""
    if connection.is_streaming:
        connection.deliver(data)


def event(name: str, data: Any) -> bytes:
    """An event; JSON has no line breaks of its own."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
