"""Preloader for Python WSGI applications: loads the application once, then forks processes that share its memory.

It talks the spawn protocol like a loader, but announces a socket on which processes are asked for (see
`passenger_loader.forking`). What comes out of the fork serves exactly like `wsgi_loader.py`.

Rules.
1. Standard library only; nothing of Passenger is imported, the application's modules come first on `sys.path`.
2. What was loaded is moved out of the garbage collector's sight before the first fork, so that its pages stay shared.
3. No request is ever served here.
4. End of stdin or SIGTERM: the process ends; what was forked goes on.
"""

from __future__ import annotations

import gc
import os
import sys

from passenger_loader.application import load
from passenger_loader.forking import Forker, complain_of_threads, show_as
from passenger_loader.hooks import drop_connections, run_after_fork
from passenger_loader.server import Server
from passenger_loader.talk import Explanation, explain, say, shake_hands

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn


def main() -> NoReturn:
    try:
        options = shake_hands()
        sys.path[0] = os.getcwd()
        sys.argv[:] = [options.get("startup_file", "")]
        show_as("preload:", options)
        app = load(options)
        drop_connections()
        forker = Forker(options["socket_dir"])
    except (Explanation, OSError, KeyError) as error:
        explain(error)
        sys.exit(1)
    complain_of_threads()
    collects = gc.isenabled()
    gc.disable()
    gc.collect()
    gc.freeze()
    say("\n!> Ready\n!> socket: unix:%s\n!> \n" % forker.path)
    if not forker.run():
        sys.exit(0)
    if collects:
        gc.enable()
    serve(app, options)


def serve(app: Any, preloaded: Mapping[str, str]) -> NoReturn:
    """In the forked process, whose stdin and stdout are the connection to the spawner now."""
    try:
        options = {**preloaded, **shake_hands()}
        os.setsid()  # from here on it can be ended with all its children, without touching its siblings
        show_as("wsgi:", options)
        run_after_fork(options)
        server = Server(
            app=app,
            socket_dir=options["socket_dir"],
            password=options.get("connect_password", ""),
            threads=int(options.get("thread_count", "1")),
        )
    except (Explanation, OSError, KeyError, ValueError) as error:
        explain(error)
        sys.exit(1)
    say("\n!> Ready\n!> socket: main;unix:%s;session;%d\n!> \n" % (server.path, server.threads))
    sys.exit(server.run())


if __name__ == "__main__":
    main()
