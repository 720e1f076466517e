"""A request that has run too long, in an event loop: its task is cancelled, or code that blocks the loop interrupted.

Rules.
1. A request is found by its connection: uvicorn runs one task for it at a time, the `run_asgi` of its cycle.
2. A handler of a signal may run between any two lines. It raises if the guilty task itself is what it has interrupted;
   everything else is left to the loop.
3. Where the task is, is printed before.
"""

from __future__ import annotations

import asyncio
import linecache

from passenger_loader.control import name_of
from passenger_loader.interruption import RequestTimeout, say_where, show

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class Interrupter:
    """Ends requests by the names of their connections. `state` is uvicorn's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, state: Any) -> None:
        self._loop = loop
        self._state = state

    def interrupt(self, names: list[bytes], frame: FrameType | None) -> None:
        """In the handler of a signal; `frame` is what it has interrupted."""
        if not names:
            return
        current = running_task()
        is_guilty = False
        for name in names:
            if current is not None and self._task_of(name) is current:
                is_guilty = True
            else:
                self._loop.call_soon_threadsafe(self.cancel, name)
        if is_guilty:
            show(frame, "and blocks the event loop; it is interrupted here")
            raise RequestTimeout

    def cancel(self, name: bytes) -> None:
        """From the event loop."""
        task = self._task_of(name)
        if task is not None:
            show_task(task)
            task.cancel()

    def _task_of(self, name: bytes) -> asyncio.Task[Any] | None:
        cycle = self._cycle_of(name)
        if cycle is None:
            return None
        tasks: list[asyncio.Task[Any]] = list(self._state.tasks)
        return next((task for task in tasks if running_for(task) is cycle and not task.done()), None)

    def _cycle_of(self, name: bytes) -> Any:
        """What uvicorn calls the request that runs on a connection; None when there is none (any more)."""
        for connection in list(self._state.connections):
            transport = getattr(connection, "transport", None)
            sock = transport and transport.get_extra_info("socket")
            if sock is not None and name_of(sock) == name:
                return getattr(connection, "cycle", None)
        return None


def running_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # the loop is between its runs


def running_for(task: asyncio.Task[Any]) -> Any:
    """The object whose coroutine method a task runs."""
    coroutine = task.get_coro()
    frame = getattr(coroutine, "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")


def show_task(task: asyncio.Task[Any]) -> None:
    """Print where a task waits: each coroutine of the chain of awaits, a line for each."""
    stack: list[tuple[str, int, str, str]] = []
    waiting: Any = task.get_coro()
    while waiting is not None:
        kind = next((kind for kind in ("cr", "ag", "gi") if getattr(waiting, kind + "_frame", None) is not None), None)
        if kind is None:
            stack.append(("", 0, type(waiting).__name__, repr(waiting)))
            break
        code, line = getattr(waiting, kind + "_frame").f_code, getattr(waiting, kind + "_frame").f_lineno
        stack.append((code.co_filename, line, code.co_name, linecache.getline(code.co_filename, line).strip()))
        waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else kind + "_await")
    say_where("and is cancelled; it was waiting here", stack)
