"""Loader for Python applications that are named by an entry point alone: what is found there says what it is.

ASGI is a coroutine function, or takes scope, receive and send; everything else that can be called is WSGI. Served
exactly like by `asgi_loader.py` or `wsgi_loader.py`, but loaded outside an event loop, as the kind is not known yet.
"""

from __future__ import annotations

import sys

from passenger_asgi_loader.kinds import asgi_or_wsgi
from passenger_loader.beginning import FAULTS, begin, give_up, show_as

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    try:
        options = begin()
        short_name, serve = asgi_or_wsgi(options)
        show_as(short_name, options)
        status = serve(options)
    except FAULTS as error:
        give_up(error)
    sys.exit(status)


if __name__ == "__main__":
    main()
