"""CPU of the core per request: raw SCGI client -> RequestHandler and Pool -> a trivial session application, as ratios.

    python -m tests.bench.core_request [--requests 20000] [--headers 12] [--concurrency 16]
    python -m tests.bench.core_request --only handler --calls

`--calls` counts the Python and the C calls of one request instead: the same on every machine, however busy it is.

Three processes: this one sends requests and reads answers; a child runs the server under test; a grandchild of it is the
application. The same load runs over a plain asyncio-Protocol SCGI proxy (no checks, no limits, no abort rules), which is
what a straightforward implementation would cost. Only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import selectors
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Self, cast

import uvloop

from passenger.clock import SystemClock
from passenger.config.instance import Instance
from passenger.config.model import App, InstanceConfig
from passenger.config.telemetry import HttpSink
from passenger.config.telemetry import Telemetry as TelemetryKeys
from passenger.core.telemetry import Telemetry
from passenger.log import Log
from passenger.pool.pool import Pool
from passenger.request.handler import RequestHandler
from passenger.spawn.spawner import AppSocket
from passenger.telemetry.courier import Courier
from tests.support.pool import StillFactory, StillProcess, limits

SECRET = b"s" * 32
KINDS = ("plain", "handler", "told", "http")
BODY = b"Hello, world!"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
NODE_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nDate: Sun, 22 Nov 2026 11:00:00 GMT\r\n"
    b"Connection: keep-alive\r\n\r\n%b" % (len(BODY), BODY)
)
"""What Node says under our loader."""


def scgi_request(headers: int) -> bytes:
    """A request as the rendered nginx configuration sends it."""
    pairs = {
        "CONTENT_LENGTH": "0",
        "SCGI": "1",
        "PASSENGER_CONNECT_SECRET": SECRET.decode(),
        "PASSENGER_APP": "bench",
        "HTTP_X_REQUEST_ID": "61bcf6b6d01beaa57a20c7e757327b9e",
        "HTTP_X_REQUEST_START": "t=1795364841.787",
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/hello?x=1",
        "QUERY_STRING": "x=1",
        "CONTENT_TYPE": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "REQUEST_SCHEME": "http",
        "HTTP_HOST": "localhost:8080",
    }
    pairs |= {f"HTTP_X_HEADER_{i}": f"value number {i}" for i in range(headers)}
    block = "".join(f"{name}\0{value}\0" for name, value in pairs.items()).encode()
    return b"%d:%b," % (len(block), block)


def application(path: str, *, http: bool) -> None:
    """A kept-alive application that answers everything the same way, in HTTP/1.1 or the session protocol."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(512)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    selector.register(listener.accept()[0], selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket):
                    data = key.fileobj.recv(65536)
                    if not data:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
                        continue
                    if not (data.endswith(b"\r\n\r\n") if http else len(data) == struct.unpack("!I", data[:4])[0] + 4):
                        raise SystemExit("the request did not come in one piece")
                    key.fileobj.sendall(NODE_ANSWER if http else ANSWER)


class PlainProxy(asyncio.Protocol):
    """SCGI in, session protocol out: the least that works."""

    idle: list[PlainApp] = []  # noqa: RUF012 - one process, one list

    def __init__(self, path: str) -> None:
        self.path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        block = data[data.index(b":") + 1 : -1]
        request = struct.pack("!I", len(block)) + block
        if self.idle:
            self.idle.pop().ask(self, request)
        else:
            self.task = asyncio.ensure_future(self.connect(request))

    async def connect(self, request: bytes) -> None:
        _, app = await asyncio.get_running_loop().create_unix_connection(PlainApp, self.path)
        app.ask(self, request)


class PlainApp(asyncio.Protocol):
    """The other end of a PlainProxy."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, client: PlainProxy, request: bytes) -> None:
        self.client = client
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.client.transport.write(data)
        self.client.transport.close()
        PlainProxy.idle.append(self)


async def serve_plain(listener: socket.socket, app_path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(lambda: PlainProxy(app_path), sock=listener)
    await server.serve_forever()


async def serve_handler(
    listener: socket.socket,
    app_path: str,
    app_pid: int,
    *,
    secret: bytes = SECRET,
    app: str = "bench",
    processes: int = 6,
    http: bool = False,
    told: bool = False,
) -> None:
    """The RequestHandler and a Pool in front of one real process that stands for several, until cancelled."""
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    log = Log(component="core", level="warn")
    factory = StillFactory()
    apps = {app: App(app_root="/", min_instances=processes, max_request_queue_size=0)}
    pool = Pool(
        loop=loop,
        clock=clock,
        log=log,
        factory=factory,
        limits=limits(processes, parallel=processes),
        apps=apps,
        random=lambda: 0.5,
    )
    pool.start()
    while not pool.is_started():
        await asyncio.sleep(0)
        for start in factory.open_starts():
            process = StillProcess()
            process.pid = app_pid
            process.connect_password = "p" * 43
            speaks = AppSocket("main", f"unix:{app_path}", "http_session", 0) if http else None
            process.sockets = (speaks or AppSocket("main", f"unix:{app_path}", "session", 1),)
            start.outcome.set_result(process)
    handler = RequestHandler(
        loop=loop,
        pool=pool,
        apps=apps,
        connect_secret=secret,
        allowed_uids=[os.getuid()],
        clock=clock,
        log=log,
        probes=lambda name: (200, name),
    )
    if told:
        tell_everything(loop, clock, handler, pool, apps, log)
    handler.listen(listener)
    await loop.create_future()


def tell_everything(
    loop: asyncio.AbstractEventLoop,
    clock: SystemClock,
    handler: RequestHandler,
    pool: Pool,
    apps: dict[str, App],
    log: Log,
) -> None:
    """Telemetry of every request, with a reader in the place of UstRouter."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        while theirs.recv(1 << 18):
            pass
        os._exit(0)
    theirs.close()
    sinks = TelemetryKeys(http=HttpSink(url="http://collector.invalid"), sample_interval=0.0)
    courier = Courier(loop, clock, ours)
    telemetry = Telemetry(loop=loop, clock=clock, courier=courier, handler=handler, pool=pool, log=log)
    telemetry.apply(InstanceConfig(name="bench", instance=Instance(telemetry=sinks), apps=apps))


def server(kind: str, path: str, app_path: str, app_pid: int, control: Connection) -> None:
    """Serve until told to report; then send CPU seconds and end."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4096)
    listener.setblocking(False)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(control.fileno(), report)
        if kind == "plain":
            await serve_plain(listener, app_path)
        else:
            await serve_handler(listener, app_path, app_pid, http=kind == "http", told=kind == "told")

    calls: Counter[str] = Counter()

    def report() -> None:
        match control.recv():
            case "stop":
                os._exit(0)
            case "count":
                sys.setprofile(lambda frame, event, arg: calls.update((name_of(frame, event, arg),)))
            case "calls":
                sys.setprofile(None)
                control.send(calls)
            case _:
                control.send(time.process_time())

    control.send("ready")
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(main())


def name_of(frame: FrameType, event: str, arg: Any) -> str:
    """What is called, "" for returns."""
    if event == "call":
        return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}"
    return f"    {arg.__qualname__}" if event == "c_call" else ""


def load(path: str, request: bytes, count: int, concurrency: int) -> float:
    """Send `count` requests, `concurrency` at a time; returns seconds. Every answer is checked."""
    began = time.perf_counter()
    sent = done = 0
    with selectors.DefaultSelector() as selector:
        while done < count:
            while sent < count and sent - done < concurrency:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(path)
                sock.sendall(request)
                selector.register(sock, selectors.EVENT_READ)
                sent += 1
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                answer = b""
                while piece := key.fileobj.recv(65536):
                    answer += piece
                if not answer.endswith(BODY):
                    raise SystemExit(f"wrong answer: {answer!r}")
                selector.unregister(key.fileobj)
                key.fileobj.close()
                done += 1
    return time.perf_counter() - began


class Stand:
    """A server of one kind with its application, while the block lasts."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.path, self._app_path = str(folder / kind), str(folder / f"{kind}-app")
        self._app = multiprocessing.Process(
            target=application, args=(self._app_path,), kwargs={"http": kind == "http"}, daemon=True
        )
        self._kind = kind

    def __enter__(self) -> Self:
        self._app.start()
        while not Path(self._app_path).exists():
            os.sched_yield()
        self._control, there = multiprocessing.Pipe()
        args = (self._kind, self.path, self._app_path, self._app.pid, there)
        self._server = multiprocessing.Process(target=server, args=args, daemon=True)
        self._server.start()
        self._control.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._control.send("stop")
        self._server.join()
        self._app.kill()
        self._app.join()

    def ask(self, what: str) -> Any:
        self._control.send(what)
        return self._control.recv()

    def load(self, request: bytes, count: int, concurrency: int) -> float:
        """CPU microseconds of the server per request."""
        before = self.ask("report")
        load(self.path, request, count, concurrency)
        used: float = (self.ask("report") - before) * 1e6 / count
        return used

    def calls(self, request: bytes, concurrency: int) -> Counter[str]:
        """The calls of 1000 requests."""
        self._control.send("count")
        load(self.path, request, 1000, concurrency)
        found: Counter[str] = self.ask("calls")
        return found


def measure(kind: str, folder: Path, args: argparse.Namespace) -> float:
    """CPU microseconds of the server per request."""
    request = scgi_request(args.headers)
    with Stand(kind, folder) as stand:
        stand.load(request, args.requests // 10, args.concurrency)
        began = time.perf_counter()
        used = stand.load(request, args.requests, args.concurrency)
        seconds = time.perf_counter() - began
        if args.calls:
            show(stand.calls(request, args.concurrency))
    print(f"{kind:10} {used:6.1f} us CPU per request, {args.requests / seconds:8.0f} requests/s")
    return used


def show(calls: Counter[str]) -> None:
    del calls[""]
    for name, count in calls.most_common():
        if count >= 50:
            print(f"{count / 1000:6.2f} {name}")
    python = sum(count for name, count in calls.items() if not name.startswith(" "))
    print(f"{python / 1000:6.2f} calls of Python functions, {(calls.total() - python) / 1000:.2f} of C functions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--headers", type=int, default=6)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", action="store_true", help="count the calls of a request")
    parser.add_argument("--only", choices=KINDS)
    args = parser.parse_args()
    best: dict[str, float] = {}
    for round_ in range(args.rounds):
        for kind in [args.only] if args.only else KINDS:
            with tempfile.TemporaryDirectory(dir="/tmp", prefix="pp") as folder:
                used = measure(kind, Path(folder), args)
                best[kind] = min(used, best.get(kind, used))
        print(f"-- round {round_ + 1}")
    if not args.only:
        print(f"handler / plain proxy = {best['handler'] / best['plain']:.2f}")
        print(f"every request told to UstRouter / none = {best['told'] / best['handler']:.2f}")
        print(f"http_session / session protocol = {best['http'] / best['handler']:.2f}")


if __name__ == "__main__":
    main()
