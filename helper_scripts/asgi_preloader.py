"""Preloader for Python ASGI applications: loads the application once, then forks processes that share its memory.

It talks the spawn protocol like a loader, but announces a socket on which processes are asked for (see
`passenger_loader.forking`). What comes out of the fork serves exactly like `asgi_loader.py`.

Rules.
1. uvicorn is imported here too, but there is no event loop before the fork: each process makes its own.
2. The lifespan startup runs in each process, after the functions of `passenger_loader.hooks`.
3. What was loaded is moved out of the garbage collector's sight before the first fork, so that its pages stay shared.
4. End of stdin or SIGTERM: the process ends; what was forked goes on.
"""

from __future__ import annotations

import gc
import os
import sys

from passenger_asgi_loader.application import MODULE, load
from passenger_asgi_loader.process import Prepared, loop_factory, serve
from passenger_loader.forking import Forker, complain_of_threads, show_as
from passenger_loader.hooks import drop_connections, run_after_fork
from passenger_loader.talk import Explanation, explain, say, shake_hands

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


def main() -> NoReturn:
    try:
        options = shake_hands()
        sys.path[0] = os.getcwd()
        sys.argv[:] = [options.get("startup_file", "")]
        show_as("preload:", options)
        prepared = Prepared(load(options), options)
        loop_factory()  # only its import
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
    serve_forked(prepared, options)


def serve_forked(prepared: Prepared, preloaded: Mapping[str, str]) -> NoReturn:
    """In the forked process, whose stdin and stdout are the connection to the spawner now."""
    try:
        options = {**preloaded, **shake_hands()}
        os.setsid()  # from here on it can be ended with all its children, without touching its siblings
        show_as("asgi:", options)
        run_after_fork({"entry_point": options.get("entry_point") or MODULE})
        status = serve(lambda: prepared, options)
    except (Explanation, OSError, KeyError, ValueError) as error:
        explain(error)
        sys.exit(1)
    sys.exit(status)


if __name__ == "__main__":
    main()
