"""Requests and WebSockets through the ASGI loader: what the application is told, and what the core gets back."""

from __future__ import annotations

import ast
import hashlib
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, RejectConnection, TextMessage

from tests.support.asgi import OURS, serving, starting
from tests.support.spawning import reachable_python

APP = """
import asyncio, hashlib, os

def header(scope, name):
    return dict(scope["headers"]).get(name, b"")

async def start(send, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})

async def body(send, data=b"", more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})

async def whole(send, data):
    await start(send, headers=[(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(data))])
    await body(send, data)

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan here")
    path = scope["path"]
    if scope["type"] == "websocket":
        return await websocket(scope, receive, send)
    if path == "/scope":
        await whole(send, repr(scope).encode())
    elif path == "/upload":
        digest, total = hashlib.sha256(), 0
        while True:
            message = await receive()
            digest.update(message["body"])
            total += len(message["body"])
            if not message["more_body"]:
                break
        await whole(send, b"%d %s" % (total, digest.hexdigest().encode()))
    elif path == "/stream":
        await start(send)
        await body(send, b"one", more=True)
        with open("step") as step:
            await asyncio.get_running_loop().run_in_executor(None, step.read)
        await body(send, b"two")
    elif path == "/raise":
        raise LookupError("before the response")
    elif path == "/raise-later":
        await start(send)
        await body(send, b"begun", more=True)
        raise LookupError("in the middle")
    elif path == "/short":
        await start(send, headers=[(b"content-length", b"10")])
        await body(send, b"begun")
    elif path == "/wait":
        await start(send)
        await body(send, b"waiting", more=True)
        message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()
        with open("left", "w") as left:
            left.write(message["type"])
    elif path == "/large":
        await start(send, headers=[(b"content-length", b"50000000")])
        for _ in range(50):
            await body(send, b"x" * 1_000_000, more=True)
        await body(send)
    elif path == "/empty":
        await start(send, 204)
        await body(send)
    else:
        await whole(send, b"hello")

async def websocket(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/refused":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    if scope["path"] == "/scope":
        await send({"type": "websocket.send", "text": repr(scope)})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            with open("left", "w") as left:
                left.write(str(int(message["code"])))
            return
        if message.get("text") == "bye":
            await send({"type": "websocket.close", "code": 4321})
            return
        await send({**message, "type": "websocket.send"})
"""


def test_what_the_application_is_told() -> None:
    """Path with the base URI, client and scheme as the core says, a server without our socket's name."""
    with serving(APP.replace('"/scope"', '"/blog/scope"'), options={"base_uri": "/blog"}) as made:
        core = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "x-forwarded-port": "8443"}
        scope = ast.literal_eval(made.connect().get("/blog/scope?x=%20y", headers=core).decode())
    assert scope["type"] == "http"
    assert scope["asgi"]["version"] == "3.0"
    assert (scope["http_version"], scope["method"]) == ("1.1", "GET")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/blog", "/blog/scope", b"/blog/scope")
    assert scope["query_string"] == b"x=%20y"
    assert (scope["scheme"], scope["client"], scope["server"]) == ("https", ("192.0.2.7", 0), ("localhost", 8443))
    assert (b"host", b"blog.example.com") in scope["headers"]
    assert made.path not in repr(scope)


def test_each_request_of_a_connection_has_its_own_client_and_scheme() -> None:
    """The core uses one connection for everybody."""
    with serving(APP) as made:
        conn = made.connect()
        for address, scheme in (("192.0.2.1", "https"), ("192.0.2.2", "http")):
            sent = {"x-forwarded-for": address, "x-forwarded-proto": scheme}
            scope = ast.literal_eval(conn.get("/scope", headers=sent).decode())
            assert (scope["client"][0], scope["scheme"]) == (address, scheme)


def test_a_response_is_the_applications_alone() -> None:
    """No Server, no Date: the core and nginx give those."""
    with serving(APP) as made:
        conn = made.connect()
        for _ in range(3):
            conn.send()
            status, headers, body = conn.response()
            assert (status, body) == (200, b"hello")
            assert headers == {"content-type": "text/plain", "content-length": "5"}
        conn.send(method="HEAD")
        assert conn.head() == (200, headers)
        conn.send("/empty")
        assert conn.head()[0] == 204
        assert conn.get() == b"hello"
        assert made.errors() == ""


def test_bodies_are_streamed_both_ways() -> None:
    """30 MB up in one request, chunked and with a length; 50 MB down to a slow reader."""
    data = os.urandom(1_000_000) * 30
    expected = b"%d %s" % (len(data), hashlib.sha256(data).hexdigest().encode())
    with serving(APP) as made:
        conn = made.connect()
        conn.send("/upload", method="POST", body=data)
        assert conn.response()[2] == expected
        conn.send("/upload", method="POST", headers={"Transfer-Encoding": "chunked"})
        conn.sock.sendall(b"%x\r\n" % len(data) + data + b"\r\n0\r\n\r\n")
        assert conn.response()[2] == expected
        conn.send("/large")
        assert conn.head()[0] == 200
        assert conn.take(50_000_000).count(b"x") == 50_000_000
        status = Path(f"/proc/{made.process.pid}/status").read_text()
        memory = dict(line.split(":", 1) for line in status.splitlines())
        assert int(memory["VmHWM"].split()[0]) < 100_000, "a body was collected in memory"


def test_a_stream_arrives_piece_by_piece() -> None:
    """The first piece comes while the application still works on the second."""
    with serving(APP) as made:
        os.mkfifo(made.folder / "step")
        conn = made.connect()
        threading.Thread(target=(made.folder / "step").write_text, args=("",)).start()
        conn.send("/stream")
        conn.head()
        assert conn.chunk() == b"one"
        assert (conn.chunk(), conn.chunk()) == (b"two", b"")


def test_an_exception_before_the_response_is_a_500_and_is_told() -> None:
    """With the traceback on stderr; the next request finds a working process."""
    with serving(APP) as made:
        conn = made.connect()
        conn.send("/raise")
        assert conn.response()[0] == 500
        assert made.connect().get() == b"hello"
        assert "LookupError: before the response" in made.errors()


@pytest.mark.parametrize("path", ["/raise-later", "/short"])
def test_a_response_that_breaks_off_is_cut(path: str) -> None:
    """It never looks complete: no last chunk, fewer bytes than announced."""
    with serving(APP) as made:
        conn = made.connect()
        conn.send(path)
        conn.head()
        with pytest.raises(ConnectionError):
            conn.take(200)


def test_the_application_learns_that_the_client_has_gone() -> None:
    """`http.disconnect`, when the core closes the connection."""
    with serving(APP) as made:
        os.mkfifo(made.folder / "left")
        conn = made.connect()
        conn.send("/wait")
        conn.head()
        assert conn.chunk() == b"waiting"
        conn.close()
        assert (made.folder / "left").read_text() == "http.disconnect"


def test_many_requests_at_once_are_answered_by_one_process() -> None:
    """Concurrency 0 is announced, and meant."""
    with starting(APP) as made:
        assert made.ready() == "http_session;0"
        waiting = [made.connect() for _ in range(200)]
        for conn in waiting:
            conn.send("/wait")
            conn.head()
        assert made.connect().get() == b"hello"


def test_the_forced_limit_is_announced() -> None:
    """The core asks for it, and keeps it: the loader only says it."""
    with starting(APP, options={"max_concurrent_requests": "7"}) as made:
        assert made.ready() == "http_session;7"


def test_garbage_gets_a_400_and_nothing_else_suffers() -> None:
    """The parser's verdict, not a traceback."""
    with serving(APP) as made:
        other = made.connect()
        conn = made.connect()
        conn.sock.sendall(b"\x00\x01\x02 garbage\r\n\r\n")
        assert conn.response()[0] == 400
        assert other.get() == b"hello"


@pytest.mark.root("connects as another user")
def test_only_the_core_may_connect() -> None:
    """Another process of the application's own user is refused, by what the kernel says of it; root is the core here."""
    nobody = 65534
    options = {"core_uid": "0", "uvicorn_path": OURS}
    with starting(APP, python=reachable_python(), user=nobody, options=options) as made:
        made.ready()
        probe = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(20); print(s.recv(9))"
        done = subprocess.run(
            [reachable_python(), "-c", probe, made.path],
            user=nobody,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stdout == "b''\n" or "ConnectionResetError" in done.stderr
        assert made.connect().get() == b"hello"
        assert (
            made.errors() == f"[loader] a connection of user {nobody} was refused: only Passenger's core may connect\n"
        )


def test_the_socket_is_the_owners_alone() -> None:
    """Mode 0600 from its first moment on, and an unguessable name."""
    with serving(APP) as made:
        assert Path(made.path).stat().st_mode & 0o777 == 0o600
        assert len(Path(made.path).name) >= 24


def test_websocket_echo() -> None:
    """Text, bytes, fragments and a megabyte; the close code arrives."""
    with serving(APP) as made:
        os.mkfifo(made.folder / "left")
        peer = made.websocket("/ws")
        assert isinstance(peer.answer, AcceptConnection)
        for event in (TextMessage(data="grüß"), BytesMessage(data=b"\x00\xff")):
            peer.send(event)
            assert peer.next().data == event.data  # type: ignore[attr-defined]
        big = "x" * 1_000_000
        threading.Thread(target=peer.send, args=(TextMessage(data=big),)).start()
        heard = ""
        while len(heard) < len(big):
            heard += peer.next().data  # type: ignore[attr-defined]
        assert heard == big
        peer.send(CloseConnection(code=1000))
        assert (made.folder / "left").read_text() == "1000"


def test_websocket_scope_and_subprotocol() -> None:
    """`wss` and the client by the core's headers; the subprotocol that the application chose."""
    with serving(APP) as made:
        sent = [
            (b"x-forwarded-for", b"192.0.2.9"),
            (b"x-forwarded-proto", b"https"),
        ]
        peer = made.websocket("/scope", headers=sent, subprotocols=["chat", "other"])
        assert isinstance(peer.answer, AcceptConnection)
        assert peer.answer.subprotocol == "chat"
        text: Any = peer.next()
        while not text.message_finished:
            text.data += peer.next().data  # type: ignore[attr-defined]
        scope = ast.literal_eval(text.data)
        assert (scope["type"], scope["scheme"], scope["client"]) == ("websocket", "wss", ("192.0.2.9", 0))
        assert scope["server"] == ("localhost", 443)


def test_websocket_refused_and_closed_by_the_application() -> None:
    """403 before the handshake; its own code after it."""
    with serving(APP) as made:
        refused = made.websocket("/refused").answer
        assert isinstance(refused, RejectConnection)
        assert refused.status_code == 403
        peer = made.websocket("/ws")
        peer.send(TextMessage(data="bye"))
        assert peer.closed() == 4321


def test_a_vanished_websocket_is_told() -> None:
    """No close frame, just the end: a disconnect with a code of its own."""
    with serving(APP) as made:
        os.mkfifo(made.folder / "left")
        peer = made.websocket("/ws")
        peer.sock.shutdown(socket.SHUT_RDWR)
        peer.close()
        assert (made.folder / "left").read_text() in {"1005", "1006"}


def test_without_a_websocket_library_http_still_works() -> None:
    """An upgrade is answered as the plain request that it also is, with a warning that says what to install."""
    bare = "import sys\nsys.modules['wsproto'] = sys.modules['websockets'] = None\n"
    with serving(bare + APP) as made:
        conn = made.connect()
        conn.send("/", headers={"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"})
        assert conn.response()[0] == 200
        assert "No supported WebSocket library" in made.errors()
