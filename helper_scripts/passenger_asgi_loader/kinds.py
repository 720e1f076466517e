"""From what was loaded to the way it is served: ASGI, or, where the kind is to be found out, ASGI or WSGI."""

from __future__ import annotations

from passenger_loader.server import Server
from passenger_loader.talk import Explanation, say

from .application import FACTORY, OLD_STYLE, fault_of, is_asgi, load, load_object

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Serve = Callable[[Mapping[str, str]], int]
    """Called with the options of one process, serves until its end and returns the exit status."""


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
    return "wsgi:", lambda own: _serve_wsgi(found, own)


def _asgi(app: Any, options: Mapping[str, str]) -> tuple[str, Serve]:
    from .process import Prepared, loop_factory, serve  # not on top: what turns out to be WSGI needs no event loop

    prepared = Prepared(app, options)
    loop_factory()  # only its import, which processes forked from here then share
    return "asgi:", lambda own: serve(lambda: prepared, own)


def _serve_wsgi(app: Any, options: Mapping[str, str]) -> int:
    server = Server(
        app=app,
        socket_dir=options["socket_dir"],
        password=options.get("connect_password", ""),
        threads=int(options.get("thread_count", "1")),
    )
    say("\n!> Ready\n!> socket: main;unix:%s;session;%d\n!> \n" % (server.path, server.threads))
    return server.run()
