"""Loader for Python WSGI applications: runs under the application's own interpreter (Python 3.8 or newer).

It talks the spawn protocol with Passenger on stdin and stdout, loads the application, and then answers requests on a
Unix socket with the session protocol: a 4-byte length, `NAME NUL VALUE NUL ...`, the body; the answer is HTTP/1.1.

Rules.
1. Standard library only; nothing of Passenger is imported, the application's modules come first on `sys.path`.
2. A connection stays open for many requests, until it cannot be trusted to be at a request boundary.
3. An answer that could not be completed never looks complete: the connection is cut instead.
4. `close()` of what the application returned is called exactly once, on every path.
5. End of stdin or SIGTERM: requests in progress are finished, then the process ends.
"""

from __future__ import annotations

import os
import sys

from passenger_loader.application import load
from passenger_loader.server import Server
from passenger_loader.talk import Explanation, explain, say, shake_hands

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


def name_process(options: Mapping[str, str]) -> None:
    """Best effort: the short name that ps and top show (15 bytes)."""
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write("wsgi:" + options.get("app_group_name", "app"))
    except OSError:
        return


def main() -> NoReturn:
    options = {}
    try:
        options = shake_hands()
        sys.path[0] = os.getcwd()
        sys.argv[:] = [options.get("startup_file", "")]
        name_process(options)
        app = load(options)
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
