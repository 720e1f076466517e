"""The web server in front: rendered nginx.

Everything here is text and values apart from `binary` (finds the program and asks it) and one `isdir`.
"""

from passenger.webserver.addresses import listens
from passenger.webserver.rendering import EXTERNAL_FILE, MANAGED_FILE, render
from passenger.webserver.tree import UnrenderableValueError
from passenger.webserver.urls import url, urls

__all__ = ["EXTERNAL_FILE", "MANAGED_FILE", "UnrenderableValueError", "listens", "render", "url", "urls"]
