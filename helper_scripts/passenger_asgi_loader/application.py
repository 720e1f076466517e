"""From the spawner's options to the ASGI application, and to a clear word when there is none.

Rules.
1. What was loaded is recognised by how it is to be called; it is never called to find out.
2. A mistake is told in the words of whoever deploys the application: what was found, what to write instead.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback

from passenger_loader.application import from_entry_point
from passenger_loader.talk import Explanation

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost every start some milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType, ModuleType
    from typing import Any

STARTUP_FILE = "passenger_asgi.py"
NAMES = ("application", "app")
OLD_STYLE = (
    "it is an ASGI 2 application: called with a scope it returns another callable. Only ASGI 3 is served; "
    "wrap it with `guarantee_single_callable` of `asgiref.compatibility`"
)
WSGI = (
    "it is a WSGI application: it takes `environ` and `start_response`. "
    'Set `app_type = "wsgi"`, or define it in passenger_wsgi.py'
)
FACTORY = 'it can be called without arguments, like a factory. Name it with `entry_point = "package.module:factory()"`'
NO_LOOP = (
    "The application wants a running event loop while it is being imported. There is none here, as processes are "
    'forked afterwards: do it at the lifespan startup, or set `spawn_method = "direct"` and `app_type = "asgi"`.\n'
)
MODULE = "passenger_asgi"
"""By this name the module of the startup file can always be found."""


def load(options: Mapping[str, str]) -> Any:
    """The ASGI 3 application. Raises Explanation for everything that goes wrong on the way."""
    found = load_object(options)
    fault = fault_of(found)
    if fault:
        where = options.get("entry_point") or options.get("startup_file") or STARTUP_FILE
        raise Explanation("%s defines no ASGI application (a %s): %s" % (where, type(found).__name__, fault))
    return found


def load_object(options: Mapping[str, str]) -> Any:
    """What the entry point or the startup file defines, whatever it is. Raises Explanation."""
    entry_point = options.get("entry_point")
    try:
        return from_entry_point(entry_point) if entry_point else from_file(options)
    except Explanation:
        raise
    except SystemExit as error:
        raise Explanation("the application ended itself while loading: sys.exit(%r)" % (error.code,)) from error
    except BaseException as error:
        raise Explanation(explained(error)) from error


def from_file(options: Mapping[str, str]) -> Any:
    """`application` or `app` of the startup file, which becomes a module of its own name."""
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    path = os.path.join(os.getcwd(), options.get("startup_file") or STARTUP_FILE)
    if not os.path.exists(path):
        raise Explanation("the startup file %s does not exist" % path)
    name = module_name(path)
    spec = spec_from_loader(name, SourceFileLoader(name, path))
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = module_from_spec(spec)
    sys.modules[name] = sys.modules[MODULE] = module
    spec.loader.exec_module(module)
    for wanted in NAMES:
        if hasattr(module, wanted):
            return getattr(module, wanted)
    raise Explanation("the startup file %s defines neither `application` nor `app`" % path)


def module_name(path: str) -> str:
    """The file's own name, so that who imports it gets the same module; unless a loaded module has that name."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return stem if stem.isidentifier() and stem not in sys.modules else MODULE


def explained(error: BaseException) -> str:
    """The traceback from the reader's own code on, with a hint above it where one is known."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_code):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace))
    wants_loop = isinstance(error, RuntimeError) and "no running event loop" in str(error)
    return NO_LOOP + text if wants_loop and not in_loop() else text


def in_loop() -> bool:
    import asyncio  # not on top: what turns out to be WSGI may never need it

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def fault_of(app: Any) -> str | None:
    """Why this object cannot be served as ASGI 3; None when it can."""
    if not callable(app):
        return "it cannot be called"
    if inspect.isclass(app):
        return _fault_of_class(app)
    count = positional(app)
    if inspect.iscoroutinefunction(call_of(app)):
        return None if count in (3, None) else "it takes %s arguments, not scope, receive and send" % count
    return {0: FACTORY, 1: OLD_STYLE, 2: WSGI, 3: None, None: None}.get(count, "it takes %s arguments" % count)


def is_asgi(app: Any) -> bool:
    """Whether an object of unknown kind says itself that it is ASGI: a coroutine function, or three arguments."""
    return fault_of(app) is None and (positional(app) == 3 or inspect.iscoroutinefunction(call_of(app)))


def call_of(app: Any) -> Any:
    """What a call of it runs: the function itself, that of a partial, or the method `__call__`."""
    while isinstance(app, functools.partial):
        app = app.func
    return app if inspect.isroutine(app) else app.__call__


def positional(app: Any) -> int | None:
    """How many positional arguments a call must give; None when it cannot be known, or any number will do."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except (ValueError, TypeError):
        return None
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return None
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = sum(one.default is one.empty for one in places)
    return 3 if needed <= 3 <= len(places) else needed


def _fault_of_class(app: Any) -> str | None:
    if hasattr(app, "__await__"):
        return None  # an instance is made of scope, receive and send, and awaited
    if inspect.iscoroutinefunction(app.__call__):
        if positional(app) == 1:
            return OLD_STYLE
        return "it is a class: write `application = %s(...)`, an instance of it" % app.__name__
    return FACTORY if positional(app) == 0 else "it is a class, not an application"


def _is_ours(code: CodeType) -> bool:
    name = code.co_filename
    ours = name in (__file__, from_entry_point.__code__.co_filename)
    return ours or name.startswith("<frozen importlib") or name.endswith("/importlib/__init__.py")
