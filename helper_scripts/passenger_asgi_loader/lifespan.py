"""The lifespan of an ASGI application: startup before the first request, shutdown after the last one.

Rules.
1. `lifespan.startup.failed` is the end of the start, with the application's own text.
2. An application that raises, or returns, instead of an answer to the startup does not speak lifespan and is served
   without it, as the ASGI specification has it. If it had asked for the startup message, its traceback is printed:
   that may well be a failed startup of a hand-written lifespan.
3. The startup and the shutdown run in one task, so that what is opened in one can be closed in the other.
"""

from __future__ import annotations

import asyncio
import traceback

from passenger_loader.talk import Explanation
from passenger_loader.worker import complain

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from typing import Any


class Lifespan:
    """One application's lifespan. Made, and used, inside the event loop."""

    def __init__(self, app: Any) -> None:
        self.state: dict[str, Any] = {}
        """What the application leaves here at startup, every request finds a copy of in its scope."""
        self._app = app
        self._messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._asked = False
        self._question = ""
        self._answer: asyncio.Future[dict[str, str]] | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the application. Raises Explanation when it says that its startup failed."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        answer = await self._ask("startup")
        if answer is not None and answer["type"].endswith("failed"):
            self._task.add_done_callback(retrieve)  # it usually raises the same error again
            text = answer.get("message") or "no reason was given"
            raise Explanation("the application's lifespan startup failed:\n%s" % text)
        if answer is None:
            self._after_no_answer()

    async def shutdown(self, seconds: float) -> bool:
        """Tell the application that it is over. Returns whether it said, in that time, that all went well."""
        if self._task is None or self._task.done():
            return True
        try:
            answer = await asyncio.wait_for(self._ask("shutdown"), seconds)
        except asyncio.TimeoutError:  # noqa: UP041 - another one before Python 3.11
            complain("the lifespan shutdown did not end within %.0f seconds" % seconds)
            return False
        if answer is not None and answer["type"].endswith("failed"):
            complain("the application's lifespan shutdown failed:\n%s" % (answer.get("message") or ""))
            return False
        if self._task.done() and not self._task.cancelled() and self._task.exception() is not None:
            print_traceback(self._task)
            return False
        return True

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._receive, self._send)

    async def _ask(self, what: str) -> dict[str, str] | None:
        """Send `lifespan.<what>`; the answer, or None when the application ended without one."""
        assert self._task is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._question = what
        self._messages.put_nowait({"type": "lifespan." + what})
        either: set[asyncio.Future[Any]] = {self._task, self._answer}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return self._answer.result() if self._answer.done() else None

    async def _receive(self) -> dict[str, str]:
        self._asked = True
        return await self._messages.get()

    async def _send(self, message: dict[str, str]) -> None:
        kind = message["type"]
        if self._answer is None or self._answer.done():
            raise RuntimeError("%s was sent, but nothing was asked" % kind)
        if kind not in ("lifespan.%s.complete" % self._question, "lifespan.%s.failed" % self._question):
            raise RuntimeError("%s is no answer to lifespan.%s" % (kind, self._question))
        self._answer.set_result(message)

    def _after_no_answer(self) -> None:
        assert self._task is not None
        failed = not self._task.cancelled() and self._task.exception() is not None
        if failed and self._asked:
            complain("the application raised in its lifespan startup; it is served without a lifespan")
            print_traceback(self._task)


def retrieve(task: asyncio.Task[None]) -> None:
    """Know of the exception, so that asyncio does not complain that nobody does."""
    if not task.cancelled():
        task.exception()


def print_traceback(task: asyncio.Task[None]) -> None:
    error = task.exception()
    if error is not None:
        traceback.print_exception(type(error), error, error.__traceback__)
