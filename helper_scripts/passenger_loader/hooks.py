"""What an application may do in a process besides answering requests: after a fork, and out of band.

    from passenger_loader.hooks import after_fork

    @after_fork
    def reconnect():
        ...

A function `passenger_after_fork()` in the startup file (or in the module of the entry point) is called, too, last.
Nothing is called after a fork in a process that loaded the application itself. `os.register_at_fork` works as well,
but its callbacks run at every fork, and their errors end nothing.

`on_oob_work` registers functions in the same way. They are called, in a thread that serves requests otherwise (ASGI: in
the event loop, coroutine functions, too), while the process takes none: some time after a response with the header
`X-Passenger-Request-OOB-Work`. Errors are printed.
"""

from __future__ import annotations

import sys
import traceback

from .talk import Explanation

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[[], Any])

_functions: list[Callable[[], Any]] = []
_oob_work: list[Callable[[], Any]] = []


def after_fork(function: Function) -> Function:
    """Register a function without arguments; they are called in the order of their registration."""
    _functions.append(function)
    return function


def on_oob_work(function: Function) -> Function:
    """Register a function without arguments for out-of-band work; likewise."""
    _oob_work.append(function)
    return function


def run_oob_work() -> None:
    """The core says that it is time for out-of-band work."""
    for function in _oob_work:
        try:
            function()
        except Exception:
            _oob_work_failed()


async def run_oob_work_in_loop() -> None:
    """The same for a process that is an event loop."""
    for function in _oob_work:
        try:
            result = function()
            if hasattr(result, "__await__"):
                await result
        except Exception:
            _oob_work_failed()


def _oob_work_failed() -> None:
    print("[loader] out-of-band work failed:", file=sys.stderr)
    traceback.print_exc()


def run_after_fork(module_name: str) -> None:
    """Call what was registered, in the forked process. Raises Explanation when one of them raises."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    last = getattr(sys.modules.get(module_name), "passenger_after_fork", None)
    for function in [*_functions, last] if callable(last) else _functions:
        try:
            function()
        except BaseException as error:
            raise Explanation("after the fork: " + traceback.format_exc()) from error


def drop_connections() -> None:
    """Close the database connections that loading has opened: processes that share one would mix up their answers."""
    django = sys.modules.get("django.db")
    if django is None:
        return
    try:
        django.connections.close_all()
    except Exception:
        traceback.print_exc()
