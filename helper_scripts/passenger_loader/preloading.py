"""What a preloader does from the handshake on: load, fork on demand, serve in what was forked.

Rules.
1. There is no event loop before the fork: each process makes its own.
2. What was loaded is moved out of the garbage collector's sight before the first fork, so that its pages stay shared.
3. No request is ever served here. End of stdin or SIGTERM: the preloader ends; what was forked goes on.
4. The functions of `hooks` run in each process, before anything else of the application (such as a lifespan).
"""

from __future__ import annotations

import gc
import os
import sys

from .beginning import FAULTS, begin, give_up, show_as
from .forking import Forker, complain_of_threads
from .hooks import drop_connections, run_after_fork
from .talk import say, shake_hands

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    Serve = Callable[[Mapping[str, str]], int]
    """Called with the options of one process, serves until its end and returns the exit status."""


def preload(prepare: Callable[[Mapping[str, str]], tuple[str, Serve]], startup_module: str) -> NoReturn:
    """`prepare` loads the application and returns the short name of its processes, and how they serve.

    `startup_module` is what a startup file has become, for the hook in it.
    """
    try:
        options = begin()
        show_as("preload:", options)
        short_name, serve = prepare(options)
        drop_connections()
        forker = Forker(options["socket_dir"])
    except FAULTS as error:
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
    try:  # from here on stdin and stdout are the connection to the spawner
        options = {**options, **shake_hands()}
        if "gupid" in options:
            os.environ["PASSENGER_GUPID"] = options["gupid"]  # what it starts is known by it, and ends with it
        os.setsid()  # from here on it can be ended with all its children, without touching its siblings
        show_as(short_name, options)
        run_after_fork(options.get("entry_point", "").partition(":")[0] or startup_module)
        status = serve(options)
    except FAULTS as error:
        give_up(error)
    sys.exit(status)
