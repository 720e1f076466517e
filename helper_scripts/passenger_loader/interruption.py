"""A request that has run too long is interrupted: an exception in the very thread that works on it, and nowhere else.

The core names the connection (see `control`). It uses that connection for no other request afterwards, so an
interruption that comes a moment too late can only meet the loader's own lines, never the next request.

Rules.
1. What the thread was doing is printed before it is interrupted.
2. The exception is no `Exception`: an application that handles its errors does not handle this one by mistake.
3. No lock, neither here nor for each request: a worker says that its connection is over, then looks whether somebody
   has begun to interrupt it; the interrupter says that he begins, then looks whether the connection is over.
4. SIGQUIT prints what every thread does, even while the interpreter itself is stuck.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from types import FrameType

    from .worker import Worker


INTERRUPTED = "and is interrupted; it was here"
OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class RequestTimeout(BaseException):
    """The request ran longer than `max_request_time`; its client has been told so."""


def show(frame: FrameType | None, what: str) -> None:
    """Print where a thread is, innermost call last, a line for each. `what` is there, and what is done about it."""
    stack = [(at.filename, at.lineno or 0, at.name, at.line or "") for at in traceback.extract_stack(frame)]
    say_where(what, stack)


def say_where(what: str, stack: list[tuple[str, int, str, str]]) -> None:
    """Print a stack of (file, line, function, text), without the loader's own part if there is another one."""
    shown = [at for at in stack if not at[0].startswith(OURS)] or stack
    lines = ["[loader] process %d: a request ran longer than max_request_time %s:" % (os.getpid(), what)]
    lines += ["    %s:%d in %s: %s" % at for at in shown]
    os.write(2, ("\n".join(lines) + "\n").encode("utf-8", "replace"))


def have_stacks_shown() -> None:
    """From now on SIGQUIT shows every thread, unless the application has a use for that signal."""
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL:
        faulthandler.register(signal.SIGQUIT, file=2, all_threads=True)


def interrupt_thread(worker: Worker, name: bytes) -> None:
    """Have RequestTimeout raised in the worker's thread, if it still works on that connection."""
    worker.interrupting = True
    if worker.is_serving(name):
        show(sys._current_frames().get(worker.thread), INTERRUPTED)  # noqa: SLF001 - documented, and the only way
        if worker.is_serving(name) and raise_in(worker.thread, RequestTimeout):
            return
    worker.interrupting = False


def raise_in(thread: int, kind: type[BaseException] | None) -> bool:
    """Raise an exception in a thread, as soon as it runs Python code again; None takes back one that has not come."""
    try:
        import ctypes  # not on top: it costs every start some milliseconds
    except ImportError:
        return False  # a Python that was built without it; the core ends the process then
    given = None if kind is None else ctypes.py_object(kind)
    count: int = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)
    return count == 1
