"""From the spawner's options to the application object."""

from __future__ import annotations

import os
import sys
import traceback

from .talk import Explanation

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost every start some milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CO_COROUTINE = 0x80
ASGI = (
    "it is an ASGI application, which is called with scope, receive and send. "
    'Set `app_type = "asgi"`, or define it in passenger_asgi.py'
)


def load(options: Mapping[str, str]) -> Any:
    """The application object. Raises Explanation for everything that goes wrong on the way."""
    entry_point = options.get("entry_point")
    try:
        app = from_entry_point(entry_point) if entry_point else from_file(options)
    except Explanation:
        raise
    except SystemExit as error:
        raise Explanation("the application ended itself while loading: sys.exit(%r)" % (error.code,)) from error
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next  # the reader's own code is what matters
        raise Explanation("".join(traceback.format_exception(type(error), error, trace))) from error
    if not callable(app):
        raise Explanation("the application is a %s, which cannot be called as a WSGI application" % type(app).__name__)
    if is_coroutine_function(app) or is_coroutine_function(type(app).__call__):
        raise Explanation(ASGI)
    return app


def is_coroutine_function(found: Any) -> bool:
    """Without the module `inspect`, whose import would cost every start some milliseconds."""
    code = getattr(found, "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def from_file(options: Mapping[str, str]) -> Any:
    """`application` of the startup file, which becomes the module `passenger_wsgi`."""
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    name = options.get("startup_file", "passenger_wsgi.py")
    path = os.path.join(os.getcwd(), name)
    if not os.path.exists(path):
        raise Explanation("the startup file %s does not exist" % path)
    spec = spec_from_loader("passenger_wsgi", SourceFileLoader("passenger_wsgi", path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["passenger_wsgi"] = module
    spec.loader.exec_module(module)
    try:
        return module.application
    except AttributeError:
        raise Explanation("the startup file %s defines no `application`" % path) from None


def from_entry_point(entry_point: str) -> Any:
    """`package.module:object`, or what `package.module:factory()` returns."""
    from importlib import import_module

    module_name, _, path = entry_point.partition(":")
    is_factory = path.endswith("()")
    found: Any = import_module(module_name)
    for part in (path[:-2] if is_factory else path).split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Explanation("entry point %s: there is no `%s` in `%s`" % (entry_point, path, module_name)) from None
    return found() if is_factory else found


def _is_ours(file_name: str) -> bool:
    return file_name == __file__ or file_name.startswith("<frozen importlib")
