"""Preloader for Python applications that are named by an entry point alone: like `python_loader.py`, by forking."""

from __future__ import annotations

from passenger_asgi_loader.application import MODULE
from passenger_asgi_loader.kinds import asgi_or_wsgi
from passenger_loader.preloading import preload

if __name__ == "__main__":
    preload(asgi_or_wsgi, MODULE)
