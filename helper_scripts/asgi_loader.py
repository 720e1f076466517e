"""Loader for Python ASGI applications: runs under the application's own interpreter (Python 3.8 or newer).

It talks the spawn protocol with Passenger on stdin and stdout, loads the application, and then answers requests on a
Unix socket with HTTP/1.1, by the uvicorn of the application's environment, or else Passenger's own.

Rules.
1. Nothing of Passenger is imported; the application's modules come first on `sys.path`.
2. The lifespan startup is part of the start: its failure is told to the spawner, with the application's text.
3. End of stdin or SIGTERM: requests in progress are finished, then the lifespan ends, then the process.
"""

from __future__ import annotations

import sys

from passenger_asgi_loader.application import load
from passenger_asgi_loader.process import Prepared, serve
from passenger_loader.beginning import FAULTS, begin, give_up, show_as

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    try:
        options = begin()
        show_as("asgi:", options)
        status = serve(lambda: Prepared(load(options), options), options)
    except FAULTS as error:
        give_up(error)
    sys.exit(status)


if __name__ == "__main__":
    main()
