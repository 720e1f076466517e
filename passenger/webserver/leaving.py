"""How clients that keep their connections learn that a managed nginx is about to go (`drain_delay`).

Rules.
1. nginx decides about a connection where it finds the location of a request, and cannot be told otherwise meanwhile:
   a reload would close kept connections at once, requests on their way included. So there is a file, which the watchdog
   makes when the instance leaves, and a location of its own through which every request goes from then on.
2. Nothing is rendered without a `drain_delay`. With one, the look is answered from nginx's cache of looked-up files,
   once a second from the file system.
3. That location names the request's own URI again: the same location as ever answers, static files and applications
   alike. Requests for an upgrade do not come here: they keep the URI as the client wrote it, and their connection ends
   anyway.
"""

from __future__ import annotations

from typing import Final

from passenger.config.model import InstanceConfig
from passenger.config.paths import InstancePaths
from passenger.webserver.tree import Directive, Expression, block, directive, nginx_quote
from passenger.webserver.upgrades import WANTED

GOODBYE: Final = "@passenger_goodbye"

_STATUS: Final = "419"
"""Never seen by anybody: nginx's way of saying `go there`."""


def in_server(config: InstanceConfig, paths: InstancePaths, *, upgrades: bool) -> list[Directive]:
    """What stands in every server of applications. Raises UnrenderableValueError."""
    if config.instance.nginx.mode != "managed" or not config.instance.watchdog.drain_delay:
        return []
    nginx_quote(paths.leaving)  # a `$` of its own would be taken for a variable
    file = Expression(paths.leaving + (WANTED if upgrades else ""))  # for an upgrade a name that nobody makes
    return [
        block("if", Expression("(-e"), file, Expression(")"), body=[directive("return", _STATUS)]),
        directive("error_page", _STATUS, "=", GOODBYE),
        directive("recursive_error_pages", "on"),  # what the application's own locations say of errors goes on to count
        block(
            "location",
            GOODBYE,
            body=[directive("keepalive_timeout", "0"), directive("rewrite", "^", Expression("$uri"), "last")],
        ),
    ]
