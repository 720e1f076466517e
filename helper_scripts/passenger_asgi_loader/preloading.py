"""What a preloader does from the handshake on: load, fork on demand, serve in what was forked.

Rules.
1. There is no event loop before the fork: each process makes its own.
2. A lifespan runs in each process, after the functions of `passenger_loader.hooks`.
3. What was loaded is moved out of the garbage collector's sight before the first fork, so that its pages stay shared.
4. No request is ever served here. End of stdin or SIGTERM: the preloader ends; what was forked goes on.
"""

from __future__ import annotations

import gc
import os
import sys

from passenger_loader.forking import Forker, complain_of_threads, show_as
from passenger_loader.hooks import drop_connections, run_after_fork
from passenger_loader.talk import Explanation, say, shake_hands

from .application import MODULE
from .giving_up import give_up

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from .kinds import Serve


def preload(prepare: Callable[[Mapping[str, str]], tuple[str, Serve]]) -> NoReturn:
    """`prepare` loads the application and says how it is served (see `kinds`)."""
    try:
        options = shake_hands()
        sys.path[0] = os.getcwd()
        sys.argv[:] = [options.get("startup_file", "")]
        show_as("preload:", options)
        short_name, serve = prepare(options)
        drop_connections()
        forker = Forker(options["socket_dir"])
    except (Explanation, OSError, KeyError) as error:
        give_up(error)
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
    serve_forked(short_name, serve, options)


def serve_forked(short_name: str, serve: Serve, preloaded: Mapping[str, str]) -> NoReturn:
    """In the forked process, whose stdin and stdout are the connection to the spawner now."""
    try:
        options = {**preloaded, **shake_hands()}
        os.setsid()  # from here on it can be ended with all its children, without touching its siblings
        show_as(short_name, options)
        run_after_fork({"entry_point": options.get("entry_point") or MODULE})
        status = serve(options)
    except (Explanation, OSError, KeyError, ValueError) as error:
        give_up(error)
    sys.exit(status)
