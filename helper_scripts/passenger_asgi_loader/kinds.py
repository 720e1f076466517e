"""From what was loaded to the way it is served: ASGI, or, where the kind is to be found out, ASGI or WSGI."""

from __future__ import annotations

from passenger_loader.serving import serve as serve_wsgi
from passenger_loader.talk import Explanation

from .application import FACTORY, OLD_STYLE, fault_of, is_asgi, load, load_object

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from passenger_loader.preloading import Serve


def asgi(options: Mapping[str, str]) -> tuple[str, Serve]:
    """Short name and server of an application that has to be ASGI. Raises Explanation."""
    return _asgi(load(options), options)


def asgi_or_wsgi(options: Mapping[str, str]) -> tuple[str, Serve]:
    """Short name and server of an application that says itself what it is. Raises Explanation."""
    found = load_object(options)
    if is_asgi(found):
        return _asgi(found, options)
    fault = fault_of(found)
    if not callable(found) or fault in (OLD_STYLE, FACTORY):
        where = options.get("entry_point") or options.get("startup_file")
        raise Explanation("%s is no application (a %s): %s" % (where, type(found).__name__, fault))
    return "wsgi:", lambda own: serve_wsgi(found, own)


def _asgi(app: Any, options: Mapping[str, str]) -> tuple[str, Serve]:
    from .process import Prepared, loop_factory, serve  # not on top: what turns out to be WSGI needs no event loop

    prepared = Prepared(app, options)
    loop_factory()  # only its import, which processes forked from here then share
    return "asgi:", lambda own: serve(lambda: prepared, own)
