"""uvicorn, as far as it is needed: its HTTP and WebSocket protocols, set up for a life behind the core.

Rules.
1. uvicorn comes from the application's environment. Only if there is none, Passenger's own is borrowed: its folder
   stands at the end of `sys.path` while uvicorn is imported, and not a moment longer.
2. The WebSocket library comes from the application's environment; if there is none, wsproto is borrowed likewise.
   If that fails too, WebSockets are refused by uvicorn, with a warning in the log for each.
3. The core decides when an idle connection ends, never we: else a request might be sent into a closing one.
"""

from __future__ import annotations

import inspect
import logging
import sys
from contextlib import contextmanager

from passenger_loader.talk import Explanation
from passenger_loader.worker import complain

from .application import explained

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FOREVER = 10 * 365 * 86400
MAX_HEAD = 256 * 1024
"""The core limits heads; this is for h11 not to be stricter than it."""
OLD = (
    "the application's uvicorn is old: its scopes have no `state`, its WebSockets are cut at the end of the process. "
    "Install uvicorn 0.21.1 or newer into the environment of the application"
)


class Engine:
    """uvicorn's configuration and the state that its protocols share."""

    def __init__(self, app: Any, borrow_from: str) -> None:
        """Raises Explanation when there is no uvicorn that works."""
        try:
            with borrowing(borrow_from, "uvicorn"):
                self.config = configuration(app)
                self.config.load()
                from uvicorn.server import Server, ServerState
            if self.config.ws_protocol_class is None:
                self.config.ws_protocol_class = borrowed_websockets(borrow_from)
        except Exception as error:
            raise Explanation(broken(error)) from error
        self.state = ServerState()
        self.uvicorn_server = Server(self.config)
        logging.getLogger("uvicorn.error").disabled = False  # it reports the application's exceptions
        self._takes_state = "app_state" in inspect.signature(self.config.http_protocol_class).parameters
        if not self._takes_state:
            complain(OLD)

    def protocol(self, app_state: dict[str, Any]) -> Any:
        """What makes the protocol of a new connection."""
        settings = {"config": self.config, "server_state": self.state}
        if self._takes_state:
            settings["app_state"] = app_state
        return lambda: self.config.http_protocol_class(**settings)


def configuration(app: Any) -> Any:
    """uvicorn's Config, of those settings that this version of it knows."""
    from uvicorn.config import Config

    wanted: dict[str, Any] = {
        "interface": "asgi3",
        "lifespan": "off",  # ours: passenger_asgi_loader.lifespan
        "log_config": None,  # the application's own logging, or warnings to stderr
        "log_level": "info",
        "access_log": False,
        "proxy_headers": False,  # ours: passenger_asgi_loader.front
        "server_header": False,
        "date_header": False,  # nginx and the core give every response its date
        "workers": 1,
        "timeout_keep_alive": FOREVER,
        "h11_max_incomplete_event_size": MAX_HEAD,
    }
    known = inspect.signature(Config.__init__).parameters
    return Config(app, **{name: value for name, value in wanted.items() if name in known})


def borrowed_websockets(folder: str) -> Any:
    """uvicorn's protocol class on Passenger's wsproto; None when they don't go together."""
    try:
        with borrowing(folder, "wsproto"):
            from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
    except Exception:  # no wsproto, or one that does not suit this Python or this uvicorn: see rule 2
        return None
    return WSProtocol


@contextmanager
def borrowing(folder: str, package: str) -> Iterator[None]:
    """Passenger's own packages are found too, after all others, if the application has no `package`."""
    from importlib.util import find_spec

    if not folder or find_spec(package) is not None:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def broken(error: BaseException) -> str:
    version = "%d.%d" % sys.version_info[:2]
    if isinstance(error, ImportError) and error.name == "uvicorn":
        return "there is no uvicorn: install it into the environment of the application (%s)" % sys.executable
    return (
        "%suvicorn does not work under this Python %s (%s): install another one into the application's environment"
        % (
            explained(error),
            version,
            sys.executable,
        )
    )
