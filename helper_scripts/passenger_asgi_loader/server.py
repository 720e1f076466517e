"""One process's life: listen, load, start up, announce, serve, drain, shut down.

Rules.
1. Nobody but the core (or root) gets a connection: the kernel says who connects.
2. The end of stdin, SIGTERM or SIGINT: no new connections, idle ones are closed, WebSockets are closed with 1012,
   requests and their background tasks are finished; three quarters of the shutdown timeout are theirs, the rest is for
   the lifespan.
3. Nothing is polled: an idle process sleeps. SIGIO tells of stdin, too, for the case that the event loop does not run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct

from passenger_loader.control import Control
from passenger_loader.interruption import have_stacks_shown
from passenger_loader.server import listen
from passenger_loader.worker import complain

from .interruption import Interrupter
from .lifespan import Lifespan

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Any

    from .engine import Engine

PEER = struct.Struct("3i")
BACKLOG = 4096


class Server:
    """Serves one application. Made inside the running event loop.

    `should_exit` is True from the request to end on: libraries find it by way of the SIGTERM handler, as with uvicorn.
    """

    def __init__(self, app: Any, engine: Engine, options: Mapping[str, str]) -> None:
        self.should_exit = False
        self.has_cut = False
        """Whether requests were left to themselves at the end of the shutdown timeout."""
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._gone = asyncio.Event()
        self._control = Control(self._stdin_ended)
        self._interrupter = Interrupter(self._loop, engine.state)
        self._timeout = float(options.get("shutdown_timeout") or 60)
        core_uid = options.get("core_uid")
        self._welcome = None if core_uid is None else {0, int(core_uid)}
        self._engine = engine
        self._lifespan = Lifespan(app)
        self._path = os.path.join(options["socket_dir"], "asgi." + os.urandom(12).hex())
        config = self._engine.config
        config.http_protocol_class = self._watched(config.http_protocol_class, self._checked)
        if config.ws_protocol_class is not None:
            config.ws_protocol_class = self._watched(config.ws_protocol_class, lambda _transport: True)

    async def run(self, announce: Callable[[str], None]) -> int:
        """Serve until told to stop; returns the exit status. Raises Explanation when the application does not start."""
        self._loop.add_reader(0, self._stdin_said)
        started = self._loop.create_task(self._lifespan.startup())
        ended = self._loop.create_task(self._end.wait())
        await asyncio.wait({started, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            return 1  # the spawner gave up
        started.result()
        listener = listen(self._path)
        try:
            factory = self._engine.protocol(self._lifespan.state)
            accepting = await self._loop.create_unix_server(factory, sock=listener, backlog=BACKLOG)
            signal.signal(signal.SIGTERM, self.handle_exit)
            signal.signal(signal.SIGINT, self.handle_exit)
            self._control.have_signalled(self._stdin_stirred)
            have_stacks_shown()
            announce(self._path)
            await ended
            accepting.close()
            await self._drain(self._loop.time() + self._timeout * 0.75)
            self._control.be_deaf()
        finally:
            remove(self._path)
        return 0 if await self._lifespan.shutdown(self._timeout * 0.2) else 1

    def handle_exit(self, _number: int, _frame: Any) -> None:
        """SIGTERM: the same as the end of stdin."""
        self._loop.call_soon_threadsafe(self._stop)

    def _stdin_said(self) -> None:
        for name in self._control.look():
            self._interrupter.cancel(name)

    def _stdin_stirred(self, _number: int, frame: FrameType | None) -> None:
        """Handler of SIGIO, at any point of the main thread."""
        self._interrupter.interrupt(self._control.look(), frame)

    def _stdin_ended(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.remove_reader, 0)
        self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if not self.should_exit:
            self.should_exit = True
            self._engine.uvicorn_server.handle_exit(
                signal.SIGTERM, None
            )  # for libraries that have put theirs in its place
            self._end.set()

    async def _drain(self, deadline: float) -> None:
        """Let everything in progress end; what is left at the deadline (of the loop's clock) is cut."""
        state = self._engine.state
        await asyncio.sleep(0)  # requests that have arrived already are no idle connections
        for connection in list(state.connections):
            connection.shutdown()
        while state.tasks or state.connections:
            left = deadline - self._loop.time()
            if left <= 0:
                await self._cut()
                return
            self._gone.clear()
            gone = self._loop.create_task(self._gone.wait())
            await asyncio.wait({gone, *state.tasks}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()

    async def _cut(self) -> None:
        self.has_cut = True
        state = self._engine.state
        complain("requests that did not end within the shutdown timeout, and are cut: %d" % len(state.tasks))
        for connection in list(state.connections):
            connection.transport.abort()
        tasks = set(state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)

    def _watched(self, kind: Any, is_welcome: Callable[[Any], bool]) -> Any:
        """uvicorn's protocol class, checking who connects, and telling when a connection is gone."""
        gone = self._gone
        loop = self._loop

        class Watched(kind):  # type: ignore[misc]
            def connection_made(self, transport: Any) -> None:
                if is_welcome(transport):
                    super().connection_made(transport)
                else:
                    transport.set_protocol(asyncio.Protocol())
                    loop.call_soon(transport.abort)

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                gone.set()

        Watched.__name__ = Watched.__qualname__ = kind.__name__
        return Watched

    def _checked(self, transport: Any) -> bool:
        if self._welcome is None:
            return True
        peer = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        uid = PEER.unpack(peer)[1]
        if uid in self._welcome:
            return True
        complain("a connection of user %d was refused: only Passenger's core may connect" % uid)
        return False


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # the core was faster, or the folder is gone
