"""Preloader for Python ASGI applications: loads the application once, then forks processes that share its memory.

It talks the spawn protocol like a loader, but announces a socket on which processes are asked for (see
`passenger_loader.preloading`). What comes out of the fork serves exactly like `asgi_loader.py`.
"""

from __future__ import annotations

from passenger_asgi_loader.application import MODULE
from passenger_asgi_loader.kinds import asgi
from passenger_loader.preloading import preload

if __name__ == "__main__":
    preload(asgi, MODULE)
