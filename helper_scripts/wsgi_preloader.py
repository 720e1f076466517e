"""Preloader for Python WSGI applications: loads the application once, then forks processes that share its memory.

It talks the spawn protocol like a loader, but announces a socket on which processes are asked for (see
`passenger_loader.preloading`). What comes out of the fork serves exactly like `wsgi_loader.py`.
"""

from __future__ import annotations

from passenger_loader.application import load
from passenger_loader.preloading import preload
from passenger_loader.serving import serve

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Mapping

    from passenger_loader.preloading import Serve


def prepare(options: Mapping[str, str]) -> tuple[str, Serve]:
    app = load(options)
    return "wsgi:", lambda own: serve(app, own)


if __name__ == "__main__":
    preload(prepare, "passenger_wsgi")
