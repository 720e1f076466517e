"""Requests to a process that speaks HTTP/1.1, with the test as web server and as application process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from passenger.request.httpconnection import MOST_IDLE
from tests.support.requestcore import DEADLINE, AppEnd, RequestCore, scgi


class HttpEnd(AppEnd):
    """The process's end of one HTTP connection."""

    def head(self) -> tuple[bytes, dict[bytes, bytes]]:
        """The next request line and the headers."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.exactly(1)
        line, *lines = data[:-4].split(b"\r\n")
        pairs = [tuple(text.split(b": ", 1)) for text in lines]
        assert len({name for name, _ in pairs}) == len(pairs)
        return line, {name: value for name, value in pairs}  # noqa: C416 - a tuple of unknown length to mypy


def http_core(*, concurrency: int = 0, **options: Any) -> RequestCore:
    return RequestCore(concurrency=concurrency, protocol="http_session", **options)


def accepted(core: RequestCore) -> HttpEnd:
    return HttpEnd(core.accept().sock)


def test_request_travels_as_http_and_the_connection_is_used_again() -> None:
    """Our own framing, who the client is by our own word, and one connection for both requests."""
    with http_core() as core:
        web = core.connect(
            scgi(
                REQUEST_URI="/a%20b?x=1",
                HTTP_CONNECTION="keep-alive, x-drop",
                HTTP_UPGRADE="h2c",
                HTTP_X_FORWARDED_FOR="6.6.6.6",
                HTTP_X_MINE="yes",
            )
        )
        app = accepted(core)
        line, headers = app.head()
        assert line == b"GET /a%20b?x=1 HTTP/1.1"
        assert headers[b"host"] == b"localhost"
        assert headers[b"x-mine"] == b"yes"
        assert headers[b"x-forwarded-for"] == b"127.0.0.1"
        assert not {b"connection", b"upgrade", b"content-length", b"passenger-connect-password"} & set(headers)
        app.ok(b"first")
        assert web.response()[0].endswith(b"first")
        web = core.connect(scgi(REQUEST_URI="/second"))
        assert app.head()[0] == b"GET /second HTTP/1.1"
        app.ok(b"again")
        assert web.response() == (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain", True)
        assert core.call(lambda: core.pool.open_sessions) == 0


@pytest.mark.parametrize("size", [1, 8192, 8193, 3_000_000])
def test_bodies_of_any_size_arrive_whole(size: int) -> None:
    """Uploads and downloads are equal to the byte, with a Content-Length of ours."""
    body = os.urandom(size)
    with http_core() as core:
        app = None
        for _ in range(2):
            web = core.connect()
            sender = _in_thread(web.sock.sendall, scgi(REQUEST_METHOD="POST", body=body))
            app = app or accepted(core)
            _, headers = app.head()
            assert headers[b"content-length"] == str(size).encode()
            assert app.exactly(size) == body
            sender()
            answer = _in_thread(app.ok, body)
            data, clean = web.response()
            answer()
            assert clean
            assert data.endswith(b"\r\n\r\n" + body)


def test_many_requests_at_a_time_reach_one_process() -> None:
    """Concurrency 0: nobody waits for anybody, and at most MOST_IDLE connections stay."""
    with http_core() as core:
        webs = [core.connect(scgi(REQUEST_URI=f"/{number}")) for number in range(MOST_IDLE + 8)]
        apps = [accepted(core) for _ in webs]
        for app in apps:
            app.head()
        for app in apps:
            app.ok()
        assert [web.status() for web in webs] == [200] * len(webs)
        idle = core.call(lambda: len(core.pool.processes[0].socket.idle))
        assert idle == MOST_IDLE


def test_parked_connections_are_closed_before_a_server_would_do_it() -> None:
    """So that a request hardly ever meets a connection that is just being closed."""
    with http_core() as core:
        web = core.connect(scgi())
        app = accepted(core)
        app.head()
        app.ok()
        assert web.status() == 200
        assert app.at_end()
        core.until(lambda: not core.handler.connections)
        assert core.call(lambda: core.pool.processes[0].socket.idle) == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nX",
    ],
    ids=["close", "http10", "surplus", "surplus behind chunks"],
)
def test_connection_is_not_used_again_after_anything_unusual(answer: bytes) -> None:
    """A12: surplus bytes would be the answer to somebody else's request."""
    with http_core() as core:
        web = core.connect(scgi())
        app = accepted(core)
        app.head()
        app.answer(answer)
        data, clean = web.response()
        assert clean
        assert data.endswith(b"\r\n\r\nok")
        assert app.at_end()


@pytest.mark.parametrize("knows", [False, True])
def test_a_wish_for_out_of_band_work_is_heard_of_loaders_that_know_the_request(knows: bool) -> None:  # noqa: FBT001
    """Clients never see it, and a server that would not understand the request is not asked."""
    with http_core() as core:
        core.call(lambda: setattr(core.pool.processes[0], "takes_errands", knows))
        web = core.connect(scgi())
        app = accepted(core)
        app.head()
        app.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Passenger-Request-OOB-Work: 1\r\n\r\nok")
        assert b"oob" not in web.response()[0].lower()
        core.until(lambda: core.pool.released == 1)
        assert core.call(lambda: core.pool.errands) == [os.getpid()] * knows


def test_interim_answers_are_swallowed_and_node_framing_is_understood() -> None:
    """What Node sends: 103, then chunks, with headers about the connection that nginx must not see."""
    with http_core() as core:
        app = None
        for _ in range(2):
            web = core.connect(scgi())
            app = app or accepted(core)
            app.head()
            app.answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            app.answer(
                b"HTTP/1.1 200 OK\r\nX-A: b\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            )
            assert web.response() == (b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nhello", True)


def test_switching_protocols_unasked_is_a_bad_response() -> None:
    """Upgrades have their own socket; here a 101 would make the next request somebody else's bytes."""
    with http_core() as core:
        web = core.connect(scgi(HTTP_UPGRADE="websocket", HTTP_CONNECTION="upgrade"))
        app = accepted(core)
        app.head()
        app.answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        assert web.status() == 502


def test_client_that_leaves_closes_the_connection_and_frees_the_place() -> None:
    """The application sees the end, as http.disconnect."""
    with http_core() as core:
        web = core.connect(scgi())
        app = accepted(core)
        app.head()
        web.sock.close()
        assert app.at_end()
        core.until(lambda: core.pool.open_sessions == 0)


def test_process_with_one_request_at_a_time_is_waited_for_after_its_client_left() -> None:
    """Its place becomes free when it is free."""
    with http_core(concurrency=1) as core:
        web = core.connect(scgi())
        app = accepted(core)
        app.head()
        web.sock.close()
        core.until(lambda: core.handler.aborted == 1)
        second = core.connect(scgi(REQUEST_URI="/second"))
        core.until(lambda: len(core.pool.queue) == 1)
        app.ok()
        assert app.head()[0] == b"GET /second HTTP/1.1"
        app.ok()
        assert second.status() == 200


def test_process_that_resets_a_reused_connection_is_a_502_and_not_asked_again() -> None:
    """A2: bytes were sent, so nobody knows what the process did with them."""
    with http_core() as core:
        web = core.connect(scgi())
        app = accepted(core)
        app.head()
        app.ok()
        assert web.status() == 200
        web = core.connect(scgi())
        app.head()
        app.sock.close()
        assert web.status() == 502
        core.app_listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            core.app_listener.accept()


def test_response_timeout_closes_the_connection() -> None:
    """504 for the client, the end of the connection for the process, and the place is free."""
    with http_core() as core:
        core.with_app(response_timeout=0.2)
        web = core.connect(scgi())
        app = accepted(core)
        app.head()
        assert web.status() == 504
        assert app.at_end()
        core.until(lambda: core.pool.open_sessions == 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_process_is_reached_over_loopback_tcp(host: str) -> None:
    """As `tcp://127.0.0.1:port`, also in IPv6."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        listener.settimeout(DEADLINE)
        port = listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        with RequestCore(processes=0) as core:
            core.add_process(address=f"tcp://{shown}:{port}", protocol="http_session", concurrency=0)
            web = core.connect(scgi())
            sock, _ = listener.accept()
            with sock:
                app = HttpEnd(sock)
                app.head()
                app.ok()
                assert web.response()[0].endswith(b"hello")


@pytest.mark.parametrize(
    ("address", "protocol"),
    [("tcp://192.0.2.1:80", "http_session"), ("tcp://127.0.0.1:1", "session"), ("ftp://127.0.0.1:1", "http_session")],
)
def test_addresses_that_are_no_way_to_a_process_are_refused(address: str, protocol: str) -> None:
    """Loopback only, and no session protocol over TCP."""
    with RequestCore(processes=0) as core:
        core.add_process(address=address, protocol=protocol, concurrency=0)
        web = core.connect(scgi())
        core.until(lambda: bool(core.pool.failures))
        assert "is not a way to reach it" in core.pool.failures[0]
        web.sock.close()
        core.until(lambda: core.handler.active == 0)


def test_closed_tcp_port_is_a_process_that_cannot_be_reached() -> None:
    """The pool hears of it at once, and the request waits for another process."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with RequestCore(processes=0) as core:
            core.add_process(address=f"tcp://127.0.0.1:{port}", protocol="http_session", concurrency=0)
            web = core.connect(scgi())
            core.until(lambda: bool(core.pool.failures))
            assert "refused" in core.pool.failures[0]
            core.call(lambda: core.add_process(protocol="http_session", concurrency=0))
            app = accepted(core)
            app.head()
            app.ok()
            assert web.status() == 200


SERVER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(flush=True)
conn, _ = listener.accept()
conn.recv(65536)
conn.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
sys.stdin.read()
"""


@pytest.mark.parametrize(("protocol", "status"), [("http_session", 200), ("session", None)])
def test_socket_of_a_descendant_counts_only_for_http(protocol: str, status: int | None) -> None:
    """`sh -c server` leads the session; the one that listens is its child. Loaders listen themselves."""
    with RequestCore(processes=0) as core:
        path = str(core.folder / "child")
        command = ["sh", "-c", '"$0" -c "$1" "$2"; true', sys.executable, SERVER, path]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as leader:
            assert leader.stdout is not None
            leader.stdout.readline()
            core.add_process(pid=leader.pid, address=f"unix:{path}", protocol=protocol, concurrency=1)
            web = core.connect(scgi())
            if status:
                assert web.status() == status
            else:
                core.until(lambda: bool(core.pool.failures))
                assert "belongs to process" in core.pool.failures[0]
            os.killpg(leader.pid, signal.SIGKILL)


def test_socket_of_a_stranger_is_refused() -> None:
    """F14: whoever listens must belong to the process's own session."""
    with RequestCore(processes=0) as core:
        core.add_process(pid=1, protocol="http_session", concurrency=0)
        core.connect(scgi())
        core.until(lambda: bool(core.pool.failures))
        assert "belongs to process" in core.pool.failures[0]


def _in_thread(action: Callable[[bytes], Any], data: bytes) -> Callable[[], None]:
    thread = threading.Thread(target=action, args=(data,))
    thread.start()
    return lambda: thread.join(DEADLINE)
