"""Loader for Python applications that are named by an entry point alone: what is found there says what it is.

ASGI is a coroutine function, or takes scope, receive and send; everything else that can be called is WSGI. Served
exactly like by `asgi_loader.py` or `wsgi_loader.py`, but loaded outside an event loop, as the kind is not known yet.
"""

from __future__ import annotations

import os
import sys

from passenger_asgi_loader.giving_up import give_up
from passenger_asgi_loader.kinds import asgi_or_wsgi
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
        short_name, serve = asgi_or_wsgi(options)
        show_as(short_name, options)
        status = serve(options)
    except (Explanation, OSError, KeyError, ValueError) as error:
        give_up(error)
    sys.exit(status)


if __name__ == "__main__":
    main()
