"""WebSockets through a rendered nginx and the request handler; the test is the client and the application."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from passenger.config.instance import Instance, Nginx
from passenger.config.instance import Listener as ListenOn
from passenger.config.model import App, InstanceConfig
from passenger.core import tracing
from tests.support import requestcore
from tests.support.nginx_server import NginxServer, binary_paths, nginx_server
from tests.support.pool import StillClock
from tests.support.raw import exchange
from tests.support.requestcore import DEADLINE, AppEnd, RequestCore
from tests.support.tunnels import pass_by

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-App: yes\r\n\r\n"
ASK = (
    "GET {target} HTTP/1.1\r\nHost: chat.example:8080\r\nOrigin: http://chat.example:8080\r\nConnection: {connection}\r\n"
    "Upgrade: {protocol}\r\nX-Passenger-App: other\r\nX-Passenger-Surprise: 1\r\nX-Forwarded-For: 6.6.6.6\r\n{more}\r\n"
)


@pytest.fixture(params=binary_paths(), ids=lambda path: Path(path).parts[1])
def binary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(target: str = "/chat", *, connection: str = "Upgrade", protocol: str = "websocket", more: str = "") -> bytes:
    return ASK.format(target=target, connection=connection, protocol=protocol, more=more).encode()


@contextmanager
def house(
    monkeypatch: pytest.MonkeyPatch,
    binary: str,
    *,
    base_uri: str = "/",
    app_type: str = "node",
    files: bool = False,
    trusted: tuple[str, ...] = (),
    **options: Any,
) -> Iterator[tuple[RequestCore, NginxServer, int]]:
    """The handler behind nginx, with one application."""
    monkeypatch.setattr(requestcore, "SECRET", b"secret-0123456789abcdef")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(_folder()))
        app = App(app_root=str(folder), app_type=app_type, base_uri=base_uri, document_root="public" if files else None)
        if files:
            (folder / "public").mkdir()
            (folder / "public/chat.txt").write_text("a file")
        core = RequestCore(
            apps={"blog": app}, concurrency=0, protocol="http_session", allowed_uids=[os.geteuid(), 65534], **options
        )
        stack.enter_context(core)
        core.folder.chmod(0o755)
        for path in (core.path, core.upgrade_path):
            Path(path).chmod(0o666)

        def configure(root: Path, addresses: list[str]) -> InstanceConfig:
            (root / "request").symlink_to(core.path)
            (root / "request_http").symlink_to(core.upgrade_path)
            nginx = Nginx(listen=tuple(ListenOn(address=address) for address in addresses), trusted_proxies=trusted)
            return InstanceConfig(name="main", instance=Instance(nginx=nginx), apps={"blog": app})

        server = stack.enter_context(nginx_server(binary, configure))
        yield core, server, server.listeners[0].getsockname()[1]


@contextmanager
def _folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(dir="/tmp", prefix="pp")
    Path(folder).chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def head_of(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        assert piece, data
        data += piece
    return data


@contextmanager
def tunnelled(
    core: RequestCore, port: int, data: bytes, came_from: str = "127.0.0.1"
) -> Iterator[tuple[socket.socket, AppEnd, bytes]]:
    """An open WebSocket: the client, the application, and the head that it got."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE, source_address=(came_from, 0)) as client:
        client.sendall(data)
        app = core.accept()
        asked = head_of(app.sock)
        app.answer(SWITCH)
        answer = head_of(client)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"\r\nUpgrade: websocket\r\n" in answer
        assert b"\r\nConnection: upgrade\r\n" in answer
        assert b"\r\nX-App: yes\r\n" in answer
        yield client, app, asked


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", "upgrade,x"])
def test_websocket_goes_through_with_our_words_about_the_client(
    monkeypatch: pytest.MonkeyPatch, binary: str, connection: str
) -> None:
    """Target as sent, Host with its port, our X-Forwarded-*; bytes both ways; the end on both sides."""
    with (
        house(monkeypatch, binary) as (core, _, port),
        tunnelled(core, port, ask("/a%2Fb//c?d=%20", connection=connection)) as (client, app, asked),
    ):
        assert asked.startswith(b"GET /a%2Fb//c?d=%20 HTTP/1.1\r\nhost: chat.example:8080\r\n")
        assert b"\r\norigin: http://chat.example:8080\r\n" in asked
        assert b"\r\nx-forwarded-for: 127.0.0.1\r\n" in asked
        assert b"x-passenger" not in asked
        assert b"6.6.6.6" not in asked
        client.sendall(b"\x81\x82\0\0\0\0hi")
        assert app.exactly(8) == b"\x81\x82\0\0\0\0hi"
        app.answer(b"\x81\x02ho")
        assert AppEnd(client).exactly(4) == b"\x81\x02ho"
        client.close()
        assert app.at_end()
        app.sock.close()
        core.until(lambda: core.handler.active == 0 and core.pool.open_sessions == 0)


@pytest.mark.parametrize(("came_from", "is_followed"), [("127.0.0.2", True), ("127.0.0.1", False)])
def test_a_trace_goes_on_in_a_websocket_if_a_trusted_proxy_began_it(
    monkeypatch: pytest.MonkeyPatch,
    binary: str,
    came_from: str,
    is_followed: bool,  # noqa: FBT001 - pytest
) -> None:
    theirs = "0af7651916cd43dd8448eb211c80319c"
    more = f"X-Passenger-Trusted-Proxy: 1\r\nTraceparent: 00-{theirs}-b7ad6b7169203331-01\r\n"
    with house(monkeypatch, binary, trusted=("127.0.0.2",)) as (core, _, port):
        core.call(lambda: core.handler.observe(lambda _: None))
        core.handler.tracer = lambda _, pairs: (tracing.begun(pairs, 1.0, lambda: 0.0) or (None, b""))[1]
        with tunnelled(core, port, ask(more=more), came_from) as (client, app, asked):
            assert asked.count(b"\r\ntraceparent: 00-") == 1
            assert (b"\r\ntraceparent: 00-" + theirs.encode() in asked) == is_followed
            client.close()
            app.sock.close()


@pytest.mark.parametrize(
    ("base_uri", "files", "target"),
    [
        ("/blog", False, "/blog/ws"),
        ("/blog", True, "/blog/ws"),
        ("/", True, "/ws"),
        ("/", True, "/"),
        ("/", True, "/.x"),
    ],
)
def test_websockets_find_their_way_past_static_files(
    monkeypatch: pytest.MonkeyPatch, binary: str, base_uri: str, *, files: bool, target: str
) -> None:
    """From every kind of location, also those that are reached by an error page."""
    with (
        house(monkeypatch, binary, base_uri=base_uri, files=files) as (core, _, port),
        tunnelled(core, port, ask(target)) as (_, _, asked),
    ):
        assert asked.startswith(f"GET {target} ".encode())


@pytest.mark.parametrize(
    ("connection", "protocol", "app_type"),
    [
        ("keep-alive", "websocket", "node"),
        ("x-upgrade", "websocket", "node"),
        ("Upgrade, HTTP2-Settings", "h2c", "node"),
        ("Upgrade", "H2C", "node"),
        ("Upgrade", "TLS/1.0", "node"),
        ("Upgrade", "websocket, h2c", "node"),
        ("Upgrade", "websocket", "wsgi"),
        ("Upgrade", "websocket", "rack"),
    ],
)
def test_what_is_no_upgrade_is_an_ordinary_request(
    monkeypatch: pytest.MonkeyPatch, binary: str, connection: str, protocol: str, app_type: str
) -> None:
    """An offer that may be ignored is ignored; nothing of it reaches the application."""
    with (
        house(monkeypatch, binary, app_type=app_type) as (core, server, port),
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client,
    ):
        client.sendall(ask(connection=connection, protocol=protocol))
        app = core.accept()
        asked = head_of(app.sock).lower()
        assert b"\r\nupgrade:" not in asked
        assert b"\r\nconnection:" not in asked
        app.ok()
        assert b"200 OK" in head_of(client)
        assert core.call(lambda: core.handler.upgraded) == 0
        assert (app_type == "node") == ("upgrade-blog.conf" in server.files)


def test_static_file_is_a_file_whoever_asks(monkeypatch: pytest.MonkeyPatch, binary: str) -> None:
    """The offer of another protocol may be ignored."""
    with house(monkeypatch, binary, files=True) as (_, _, port):
        answer = exchange(port, ask("/chat.txt", connection="Upgrade, close"))
        assert answer.endswith(b"a file")


@pytest.mark.parametrize(
    "more", ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"]
)
def test_upgrade_with_a_body_is_refused(monkeypatch: pytest.MonkeyPatch, binary: str, more: str) -> None:
    """Nobody knows to which protocol the body would belong."""
    with house(monkeypatch, binary) as (core, _, port):
        assert exchange(port, ask(connection="Upgrade, close", more=more)).startswith(b"HTTP/1.1 400 ")
        assert core.call(lambda: core.pool.granted) == 0


def test_refused_upgrade_is_an_ordinary_answer(monkeypatch: pytest.MonkeyPatch, binary: str) -> None:
    """What the application says instead reaches the client, and the connection may go on."""
    with (
        house(monkeypatch, binary) as (core, _, port),
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client,
    ):
        client.sendall(ask(connection="keep-alive, Upgrade"))
        app = core.accept()
        head_of(app.sock)
        app.answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Accel-Redirect: /etc\r\n\r\nno")
        answer = head_of(client)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"X-Accel" not in answer


def test_refused_upgrade_that_is_cut_is_no_whole_answer(monkeypatch: pytest.MonkeyPatch, binary: str) -> None:
    """N2: without a length nginx only learns of it by the reset."""
    with (
        house(monkeypatch, binary) as (core, _, port),
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client,
    ):
        client.sendall(ask(connection="Upgrade"))
        app = core.accept()
        head_of(app.sock)
        app.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        head_of(client)
        assert AppEnd(client).exactly(10) == b"5\r\nhello\r\n"
        app.sock.close()
        assert AppEnd(client).at_end()


def test_crash_of_the_application_is_1006(monkeypatch: pytest.MonkeyPatch, binary: str) -> None:
    """The connection ends without a Close frame."""
    with house(monkeypatch, binary) as (core, _, port), tunnelled(core, port, ask()) as (client, app, _):
        app.answer(b"\x82\x7e\x10\x00part")
        assert AppEnd(client).exactly(8) == b"\x82\x7e\x10\x00part"
        app.sock.close()
        assert AppEnd(client).at_end()


@pytest.mark.parametrize("status", [1001, 1012])
def test_drain_and_restart_say_so(monkeypatch: pytest.MonkeyPatch, binary: str, status: int) -> None:
    """E9: 1001 for a stop, 1012 for a process that is replaced."""
    with house(monkeypatch, binary) as (core, _, port), tunnelled(core, port, ask()) as (client, app, _):
        drained = threading.Event()
        if status == 1001:
            core.call(lambda: core.handler.stop_accepting(drained.set))
        else:
            core.call(lambda: next(iter(core.pool.processes[0].upgraded)).process_leaves())
        assert AppEnd(client).exactly(4) == b"\x88\x02" + struct.pack("!H", status)
        client.sendall(b"\x88\x82\0\0\0\0" + struct.pack("!H", status))
        assert app.exactly(8)[-2:] == struct.pack("!H", status)
        app.sock.close()
        assert AppEnd(client).at_end()
        core.until(lambda: core.handler.active == 0)
        assert status != 1001 or drained.wait(DEADLINE)


def test_tunnel_that_rests_is_closed_by_the_core(monkeypatch: pytest.MonkeyPatch, binary: str) -> None:
    """A ping keeps it; after an hour without any it ends with 1001, which nginx alone could not say."""
    clock = StillClock()
    with (
        house(monkeypatch, binary, clock=clock) as (core, server, port),
        tunnelled(core, port, ask()) as (client, app, _),
    ):
        assert server.files["upgrade-blog.conf"].count("_timeout 31536000s;") == 2
        pass_by(core, clock, 3000)
        app.answer(b"\x89\x00")
        assert AppEnd(client).exactly(2) == b"\x89\x00"
        pass_by(core, clock, 3000)
        assert core.call(lambda: core.handler.status()["tunnels"]) == 1
        pass_by(core, clock, 602)
        assert AppEnd(client).exactly(4) == b"\x88\x02" + struct.pack("!H", 1001)


def test_flood_is_held_back_up_to_the_application(monkeypatch: pytest.MonkeyPatch, binary: str) -> None:
    """A client that does not read stops the application, and gets everything in the end."""
    count = 32 * 1024 * 1024
    with house(monkeypatch, binary) as (core, _, port), tunnelled(core, port, ask()) as (client, app, _):
        head = b"\x82\x7f" + count.to_bytes(8, "big")
        sender = threading.Thread(target=app.sock.sendall, args=(head + bytes(count),))
        sender.start()
        core.until(lambda: any(_waits(one) for one in core.handler.tunnels))
        assert sender.is_alive()
        got = 0
        while got < count + 10:
            got += len(client.recv(1 << 20))
        sender.join(DEADLINE)
        assert got == count + 10


def _waits(client: object) -> bool:
    return client._tunnel._to_web._backlog is not None  # type: ignore[attr-defined]
