"""The request path behind a real nginx: what a client of nginx can tell about cut responses (N1-N3), bodies, framing."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.nginx_server import binary_paths
from tests.support.requestcore import DEADLINE, SECRET, AppEnd, RequestCore

CONFIG = """
daemon off; worker_processes 1; pid {root}/pid; error_log stderr warn; {user}
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 0; default_type text/plain;
  client_body_temp_path {root}/b; scgi_temp_path {root}/s; proxy_temp_path {root}/p;
  fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u;
  server {{
    listen unix:{root}/http;
    location / {{
      scgi_pass unix:{core}; scgi_buffering {buffering}; scgi_request_buffering {request_buffering};
      scgi_buffer_size 32k; scgi_buffers 16 32k; scgi_max_temp_file_size 0;
      scgi_param SCGI 1; scgi_param PASSENGER_CONNECT_SECRET {secret}; scgi_param PASSENGER_APP blog;
      scgi_param REQUEST_METHOD $request_method; scgi_param REQUEST_URI $request_uri;
      scgi_param QUERY_STRING $query_string; scgi_param CONTENT_TYPE $content_type;
      scgi_param SERVER_PROTOCOL $server_protocol; scgi_param HTTP_HOST $http_host;
    }}
  }}
}}
"""


class UnixHTTPConnection(http.client.HTTPConnection):
    """http.client over the Unix socket nginx listens on."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(self._path)


@contextmanager
def nginx(core: RequestCore, binary: str, *, buffering: str = "on", request_buffering: str = "on") -> Iterator[str]:
    """A running nginx in front of the core; yields the path of its socket."""
    root = core.folder / "n"
    root.mkdir()
    config = root / "nginx.conf"
    config.write_text(
        CONFIG.format(
            root=root,
            core=core.path,
            secret=SECRET.decode(),
            buffering=buffering,
            request_buffering=request_buffering,
            user="user root;" if os.geteuid() == 0 else "",
        )
    )
    argv = [binary, "-p", str(root), "-c", str(config)]
    subprocess.run([*argv, "-t", "-q"], check=True, stderr=subprocess.DEVNULL)
    # Bound here and inherited, so that a request can be sent before nginx has come up.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "http"))
    listener.listen(64)
    environment = os.environ | {"NGINX": f"{listener.fileno()};"}
    process = subprocess.Popen(argv, env=environment, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
    try:
        yield str(root / "http")
    finally:
        process.terminate()
        process.wait(DEADLINE)
        listener.close()


@contextmanager
def beside(action: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=action)
    thread.start()
    yield
    thread.join(DEADLINE)


@pytest.fixture(params=binary_paths(), ids=lambda path: Path(path).parts[1])
def binary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize("request_body", [b"", b"small", b"x" * 300_000], ids=["empty", "small", "large"])
@pytest.mark.parametrize(
    "head", [b"Transfer-Encoding: chunked\r\n\r\n5\r\n", b"Content-Length: 10\r\n\r\n"], ids=["stream", "length"]
)
def test_process_that_dies_in_its_body_is_an_error_for_the_client(
    binary: str, buffering: str, request_body: bytes, head: bytes
) -> None:
    """A4, A5: no final chunk, no complete body."""

    def application() -> None:
        app = core.accept()
        app.request()
        app.exactly(len(request_body))
        app.answer(b"HTTP/1.1 200 OK\r\n" + head + b"hello")
        app.sock.close()

    with RequestCore() as core, nginx(core, binary, buffering=buffering) as path, beside(application):
        web = UnixHTTPConnection(path)
        web.request("POST", "/", body=request_body)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError, http.client.RemoteDisconnected)):
            web.getresponse().read()
        web.close()


def test_core_that_is_closed_in_the_middle_is_an_error_for_the_client(binary: str) -> None:
    """N2: the same holds when the core itself goes."""
    with RequestCore() as core, nginx(core, binary, buffering="off") as path:
        web = UnixHTTPConnection(path)
        web.request("GET", "/")
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\n\r\npartial")
        response = web.getresponse()
        assert response.read(7) == b"partial"
        core.call(core.handler.close)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            response.read()
        web.close()
        app.sock.close()


KILLED_CORE = """
import asyncio, os, socket, sys
import uvloop
from tests.bench.core_request import serve_handler
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(64)
print("ready", flush=True)
uvloop.run(serve_handler(listener, sys.argv[2], int(sys.argv[3]), secret=sys.argv[4].encode(), app="blog"))
"""


@pytest.mark.parametrize("request_body", [b"", b"x" * 300_000], ids=["empty", "large"])
def test_core_that_is_killed_in_the_middle_is_an_error_for_the_client(binary: str, request_body: bytes) -> None:
    """N2: kill -9 closes with the unread byte in place as well."""
    with RequestCore() as idle:
        path = str(idle.folder / "killed")
        argv = [sys.executable, "-c", KILLED_CORE, path, idle.app_path, str(os.getpid()), SECRET.decode()]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            idle.path = path
            with nginx(idle, binary, buffering="off") as front:
                web = UnixHTTPConnection(front)
                web.request("POST", "/", body=request_body)
                app = idle.accept()
                app.request()
                app.exactly(len(request_body))
                app.answer(b"HTTP/1.1 200 OK\r\n\r\npartial")
                response = web.getresponse()
                assert response.read(7) == b"partial"
                process.kill()
                with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                    response.read()
                web.close()


def test_whole_streams_end_cleanly(binary: str) -> None:
    """The other half of A5: a stream that is whole looks whole."""

    def application() -> None:
        app = core.accept()
        app.request()
        app.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        app.answer(b"0\r\n\r\n")

    with RequestCore() as core, nginx(core, binary) as path, beside(application):
        web = UnixHTTPConnection(path)
        web.request("GET", "/")
        response = web.getresponse()
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert response.read() == b"hello"
        web.close()


@pytest.mark.parametrize("buffering", ["on", "off"])
@pytest.mark.parametrize(
    ("method", "head", "status", "length"),
    [
        ("HEAD", b"200 OK\r\nContent-Length: 5", 200, "5"),
        ("GET", b"304 Not Modified\r\nContent-Length: 5", 304, None),
        ("GET", b"204 No Content\r\nContent-Length: 5", 204, None),
        ("GET", b"204 No Content", 204, None),
        ("GET", b"200 OK\r\nContent-Length: 0", 200, "0"),
    ],
)
def test_bodiless_responses_keep_the_client_connection_usable(
    binary: str, buffering: str, method: str, head: bytes, status: int, length: str | None
) -> None:
    """A11: the framing is right, so a second request on the same client connection is answered."""

    def application() -> None:
        app = core.accept()
        for answer in (head, b"200 OK\r\nContent-Length: 4"):
            app.request()
            app.answer(b"HTTP/1.1 " + answer + b"\r\n\r\n" + (b"next" if answer is not head else b""))

    with RequestCore() as core, nginx(core, binary, buffering=buffering) as path, beside(application):
        web = UnixHTTPConnection(path)
        web.request(method, "/")
        response = web.getresponse()
        assert response.status == status
        assert length is None or response.headers["Content-Length"] == length
        assert response.read() == b""
        web.request("GET", "/second")
        assert web.getresponse().read() == b"next"
        web.close()


@pytest.mark.parametrize("request_buffering", ["on", "off"])
def test_uploads_have_their_true_length(binary: str, request_buffering: str) -> None:
    """N4, F4: also when nginx passes the body on as it comes, and when the client sends chunks."""

    def application() -> None:
        app = core.accept()
        for _ in range(2):
            seen.append(app.request())
            seen[-1]["body"] = app.exactly(int(seen[-1]["CONTENT_LENGTH"])).decode()
            app.ok()

    seen: list[dict[str, str]] = []
    with (
        RequestCore() as core,
        nginx(core, binary, request_buffering=request_buffering) as path,
        beside(application),
    ):
        web = UnixHTTPConnection(path)
        web.connect()
        web.sock.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nProxy: evil\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
        )
        assert web.sock.recv(100).startswith(b"HTTP/1.1 100 ")
        web.sock.sendall(b"01234")
        web.sock.sendall(b"56789")
        response = http.client.HTTPResponse(web.sock, method="POST")
        response.begin()
        response.read()
        web.sock.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
        )
        response = http.client.HTTPResponse(web.sock, method="POST")
        response.begin()
        assert response.status == 200
        response.close()
        web.close()
    for request in seen:
        assert request["CONTENT_LENGTH"] == "10"
        assert request["body"] == "0123456789"
        assert not {name for name in request if name in {"HTTP_PROXY", "HTTP_EXPECT", "HTTP_TRANSFER_ENCODING"}}


def test_repeated_headers_are_joined(binary: str) -> None:
    """N5: whatever the nginx version does itself."""
    with RequestCore() as core, nginx(core, binary) as path:
        web = UnixHTTPConnection(path)
        web.connect()
        web.sock.sendall(
            b"GET / HTTP/1.0\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"
        )
        request = core.accept().request()
        assert request["HTTP_X_FORWARDED_FOR"] == "1, 2"
        assert request["HTTP_COOKIE"] == "a=1; b=2"
        web.close()


def test_client_that_leaves_while_the_process_works_is_noticed(binary: str) -> None:
    """E7 through nginx: the connection of the web server ends, the place is freed by the process."""
    with RequestCore() as core, nginx(core, binary) as path:
        web = UnixHTTPConnection(path)
        web.request("GET", "/")
        app = core.accept()
        app.request()
        web.close()
        core.until(lambda: core.handler.aborted == 1)
        app.ok()
        core.until(lambda: core.pool.open_sessions == 0)


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_large_bodies_pass_both_ways_without_growth(binary: str, buffering: str) -> None:
    """E5: 256 MiB up and down, checksums equal, less than 32 MiB of growth."""
    size = 256 * 1024 * 1024
    piece = os.urandom(1024 * 1024)
    digests: list[str] = []

    def application() -> None:
        app = core.accept()
        app.request()
        digests.append(_digest(app, size))
        app.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            app.answer(piece)

    with (
        RequestCore() as core,
        nginx(core, binary, buffering=buffering, request_buffering=buffering) as path,
        beside(application),
    ):
        web = UnixHTTPConnection(path)
        before = _resident()
        web.request("POST", "/", body=(piece for _ in range(size // len(piece))), headers={"Content-Length": str(size)})
        response = web.getresponse()
        received = hashlib.sha256()
        while data := response.read(1024 * 1024):
            received.update(data)
        assert _resident() - before < 32 * 1024 * 1024
        web.close()
    expected = hashlib.sha256()
    for _ in range(size // len(piece)):
        expected.update(piece)
    assert digests == [expected.hexdigest()]
    assert received.hexdigest() == expected.hexdigest()


def _digest(app: AppEnd, size: int) -> str:
    digest = hashlib.sha256()
    while size:
        data = app.sock.recv(min(size, 1024 * 1024))
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
