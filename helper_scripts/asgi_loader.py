"""Loader for Python ASGI applications: runs under the application's own interpreter (Python 3.8 or newer).

It talks the spawn protocol with Passenger on stdin and stdout, loads the application, and then answers requests on a
Unix socket with HTTP/1.1, by the uvicorn of the application's environment, or else Passenger's own.

Rules.
1. Nothing of Passenger is imported; the application's modules come first on `sys.path`.
2. The lifespan startup is part of the start: its failure is told to the spawner, with the application's text.
3. End of stdin or SIGTERM: requests in progress are finished, then the lifespan ends, then the process.
"""

from __future__ import annotations

import os
import sys

from passenger_asgi_loader.application import load
from passenger_asgi_loader.giving_up import give_up
from passenger_asgi_loader.process import Prepared, serve
from passenger_loader.forking import show_as
from passenger_loader.talk import Explanation, shake_hands

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    try:
        options = shake_hands()
        sys.path[0] = os.getcwd()
        sys.argv[:] = [options.get("startup_file", "")]
        show_as("asgi:", options)
        status = serve(lambda: Prepared(load(options), options), options)
    except (Explanation, OSError, KeyError, ValueError) as error:
        give_up(error)
    sys.exit(status)


if __name__ == "__main__":
    main()
