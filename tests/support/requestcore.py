"""A RequestHandler with a FakePool on a loop of its own thread, and the two sides a test plays: web server and process."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import uvloop

from passenger.clock import SystemClock
from passenger.config.model import App
from passenger.log import Log
from passenger.request.handler import RequestHandler
from passenger.request.upgrade import UpgradeClient
from tests.support.fakepool import FakePool
from tests.support.folders import remove

T = TypeVar("T")
SECRET = b"0123456789abcdef0123456789abcdef"
DEADLINE = 60.0


def block(pairs: Mapping[str, str] | None = None, *, app: str = "blog", length: int = 0, **more: str) -> bytes:
    """An SCGI header block as the rendered nginx sends it."""
    params = {
        "CONTENT_LENGTH": str(length),
        "SCGI": "1",
        "PASSENGER_CONNECT_SECRET": SECRET.decode(),
        "PASSENGER_APP": app,
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
    }
    params |= more
    params |= pairs or {}
    return "".join(f"{name}\0{value}\0" for name, value in params.items()).encode("latin-1")


def scgi(pairs: Mapping[str, str] | None = None, *, body: bytes = b"", **more: str) -> bytes:
    """A whole request."""
    head = block(pairs, length=len(body), **more)
    return b"%d:%b,%b" % (len(head), head, body)


def upgrade(pairs: Mapping[str, str] | None = None, *, target: str = "/chat?a=b", method: str = "GET") -> bytes:
    """An upgrade request as the rendered nginx sends it; an empty value leaves the header out."""
    headers = {
        "Host": "localhost",
        "X-Passenger-Connect-Secret": SECRET.decode(),
        "X-Passenger-App": "blog",
        "X-Passenger-Host": "localhost:8080",
        "X-Passenger-Server-Name": "localhost",
        "X-Passenger-Server-Port": "8080",
        "X-Passenger-Server-Protocol": "HTTP/1.1",
        "X-Passenger-Client-Address": "127.0.0.1",
        "X-Passenger-Client-Port": "40000",
        "X-Passenger-Scheme": "http",
        "Connection": "upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
    }
    headers |= pairs or {}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


class AppEnd:
    """The process's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(DEADLINE)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                raise EOFError(f"{len(data)} of {count} bytes")
            data += piece
        return data

    def request(self) -> dict[str, str]:
        """The next request head."""
        (length,) = struct.unpack("!I", self.exactly(4))
        parts = self.exactly(length).decode("latin-1").split("\0")
        return dict(zip(parts[:-1:2], parts[1::2], strict=True))

    def answer(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ok(self, body: bytes = b"hello") -> None:
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def until_head(self) -> bytes:
        """Everything up to the end of an HTTP head."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.exactly(1)
        return data

    def until_end(self) -> bytes:
        """Everything that comes, to the end of the stream."""
        data = b""
        while piece := self.sock.recv(65536):
            data += piece
        return data

    def at_end(self) -> bool:
        """Wait for the end of the stream; False when bytes come instead."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


class WebEnd:
    """The web server's end of one request."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(DEADLINE)

    def response(self) -> tuple[bytes, bool]:
        """Everything until the end, and whether the end was clean (False = reset)."""
        data = b""
        try:
            while piece := self.sock.recv(65536):
                data += piece
        except ConnectionResetError:
            return data, False
        return data, True

    def status(self) -> int:
        data, _ = self.response()
        return int(data[9:12])


class RequestCore:
    """Context manager; leaves no descriptor and no thread behind."""

    def __init__(
        self,
        *,
        apps: Mapping[str, App] | None = None,
        allowed_uids: Collection[int] | None = None,
        processes: int = 1,
        concurrency: int = 1,
        protocol: str = "session",
        **options: Any,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
        self.path = str(self.folder / "request")
        self.pool = FakePool()
        self.log_fd = os.memfd_create("log")
        self._apps = dict(apps or {"blog": App(app_root="/")})
        self._uids = [os.getuid()] if allowed_uids is None else allowed_uids
        self._options = options
        self._processes, self._concurrency, self._protocol = processes, concurrency, protocol
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self.listener = self._listener(self.path)
        self.upgrade_path = str(self.folder / "request_http")
        self.upgrade_listener = self._listener(self.upgrade_path)
        self.app_path = str(self.folder / "app")
        self.app_listener = self._listener(self.app_path)
        self.app_listener.settimeout(DEADLINE)
        for _ in range(self._processes):
            self.add_process()
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._main(ready)))
        self._thread.start()
        ready.result(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE)
        for sock in (*self._sockets, self.listener, self.upgrade_listener, self.app_listener):
            sock.close()
        os.close(self.log_fd)
        remove(self.folder)

    def add_process(self, **kinds: Any) -> None:
        options: dict[str, Any] = {
            "pid": os.getpid(),
            "address": f"unix:{self.app_path}",
            "concurrency": self._concurrency,
            "protocol": self._protocol,
        }
        self.pool.add_process(**(options | kinds))

    def connect(self, data: bytes = b"", *, path: str | None = None) -> WebEnd:
        """A connection of the web server, with the first bytes of a request."""
        sock = socket.socket(socket.AF_UNIX)
        self._sockets.append(sock)
        sock.settimeout(DEADLINE)
        sock.connect(path or self.path)
        if data:
            sock.sendall(data)
        return WebEnd(sock)

    def connect_at_once(self, data: bytes) -> WebEnd:
        """The same, with all bytes there when the handler first looks: its loop waits meanwhile."""
        return self.call(lambda: self.connect(data))

    def accept(self) -> AppEnd:
        """The next connection to the process."""
        sock, _ = self.app_listener.accept()
        self._sockets.append(sock)
        return AppEnd(sock)

    def call(self, function: Callable[[], T]) -> T:
        """Run in the loop's thread."""
        result: Future[T] = Future()
        self.loop.call_soon_threadsafe(lambda: result.set_result(function()))
        return result.result(DEADLINE)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the loop has come to a state; looked at in every turn of the loop."""
        done: Future[None] = Future()

        def look(turns: int) -> None:
            if condition():
                done.set_result(None)
            elif turns:
                self.loop.call_later(0.01, look, turns - 1)
            else:
                done.set_exception(TimeoutError("the state was never reached"))

        self.loop.call_soon_threadsafe(look, int(DEADLINE / 0.01))
        done.result(DEADLINE * 2)

    def log_text(self) -> str:
        return os.pread(self.log_fd, 1 << 20, 0).decode()

    def with_app(self, **keys: Any) -> None:
        """Apply other keys to the application."""
        apps = {name: replace(app, **keys) for name, app in self._apps.items()}
        self.call(lambda: self.handler.apply(apps))

    def _listener(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen(1024)
        return sock

    async def _main(self, ready: Future[None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        options: dict[str, Any] = {"probes": lambda name: (200, name), "clock": SystemClock()} | self._options
        self.handler = RequestHandler(
            loop=self.loop,
            pool=self.pool,
            apps=self._apps,
            connect_secret=SECRET,
            allowed_uids=self._uids,
            log=Log(component="core", fd=self.log_fd, level="debug"),
            **options,
        )
        self.handler.listen(self.listener)
        self.handler.listen(self.upgrade_listener, UpgradeClient)
        ready.set_result(None)
        await self._stop.wait()
        self.handler.close()
        self.pool.close()
