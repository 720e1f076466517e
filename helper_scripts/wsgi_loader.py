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

import sys

from passenger_loader.application import load
from passenger_loader.beginning import FAULTS, begin, give_up, show_as
from passenger_loader.serving import serve

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    try:
        options = begin()
        show_as("wsgi:", options)
        status = serve(load(options), options)
    except FAULTS as error:
        give_up(error)
    sys.exit(status)


if __name__ == "__main__":
    main()
