"""The WSGI loader and PEP 3333: requests in, responses out. Every application is wrapped in wsgiref.validate
unless it breaks the rules on purpose."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.loader import PASSWORD, Connection, Loader, loader
from tests.support.loader import request as request_bytes

VALID = """
import os, sys, tempfile
from wsgiref.validate import validator

CLOSED = []

class Body:
    def __init__(self, pieces, name="body"):
        self.pieces, self.name = iter(pieces), name
    def __iter__(self):
        return self
    def __next__(self):
        piece = next(self.pieces)
        if isinstance(piece, BaseException):
            raise piece
        return piece
    def close(self):
        CLOSED.append(self.name)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    read = environ["wsgi.input"]
    if path == "/closed":
        start_response("200 OK", text)
        return [",".join(CLOSED).encode()]
    if path == "/environ":
        start_response("200 OK", text)
        return [repr(sorted((k, str(v)) for k, v in environ.items())).encode()]
    if path == "/echo":
        start_response("200 OK", text)
        return [read.read(int(environ["CONTENT_LENGTH"]))]
    if path == "/lines":
        start_response("200 OK", text)
        return [repr([read.readline(), read.readline(3), read.readlines(), read.read(5)]).encode()]
    if path == "/iterate":
        start_response("200 OK", text)
        return [repr(list(read)).encode()]
    if path == "/pieces":
        start_response("200 OK", text)
        return Body([b"", b"one ", b"", b"two ", b"three"])
    if path == "/counted":
        start_response("200 OK", text + [("Content-Length", "6")])
        return Body([b"abc", b"def"])
    if path == "/empty":
        start_response("200 OK", text)
        return Body([])
    if path == "/nothing":
        start_response("204 No Content", [])
        return []
    if path == "/unchanged":
        start_response("304 Not Modified", [("ETag", '"x"')])
        return Body([])
    if path == "/write":
        write = start_response("200 OK", text)
        write(b"written ")
        write(b"twice ")
        return [b"returned"]
    if path == "/recover":
        start_response("200 OK", text)
        try:
            raise ValueError("x")
        except ValueError:
            start_response("500 Oops", text, sys.exc_info())
        return [b"sorry"]
    if path == "/fail":
        raise RuntimeError("boom")
    if path == "/fail-late":
        start_response("200 OK", text)
        return Body([b"some", RuntimeError("boom late")], "late")
    if path == "/fail-early":
        start_response("200 OK", text)
        return Body([RuntimeError("boom early")], "early")
    if path == "/fail-counted":
        start_response("200 OK", text + [("Content-Length", "10")])
        return Body([b"abc"], "short")
    if path == "/big":
        start_response("200 OK", text)
        return [b"x" * 5_000_000]
    if path == "/endless":
        start_response("200 OK", text)
        def forever():
            while True:
                yield b"x" * 65536
        return Body(forever(), "endless")
    if path == "/file":
        file = tempfile.TemporaryFile(buffering=0)
        file.write(b"0123456789" * 100_000)
        file.seek(7)
        start_response("200 OK", text)
        return environ["wsgi.file_wrapper"](file, 4096)
    if path == "/errors":
        environ["wsgi.errors"].write("said to wsgi.errors\\n")
        environ["wsgi.errors"].flush()
        start_response("200 OK", text)
        return [b"ok"]
    start_response("404 Not Found", text)
    return [b"hello " + path.encode("latin-1")]

application = validator(app)
"""

BROKEN = """
import io, sys, tempfile
CLOSED = []
class Closing(list):
    def close(self):
        CLOSED.append("x")
        raise RuntimeError("close failed")

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/closed":
        start_response("200 OK", [])
        return [str(len(CLOSED)).encode()]
    if path == "/no-start":
        return [b"body"]
    if path == "/start-twice":
        start_response("200 OK", [])
        start_response("200 OK", [])
        return [b"body"]
    if path == "/str":
        start_response("200 OK", [])
        return ["text"]
    if path == "/str-pieces":
        start_response("200 OK", [])
        return iter(["text"])
    if path == "/none":
        start_response("200 OK", [])
        return None
    if path == "/exc-info-late":
        write = start_response("200 OK", [])
        write(b"begun")
        try:
            raise ValueError("after the head")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())
    if path == "/split":
        start_response("200 OK", [("X-A", "1\\r\\nSet-Cookie: evil=1")])
        return [b""]
    if path == "/name":
        start_response("200 OK", [("X A:", "1")])
        return [b""]
    if path == "/status":
        start_response("200 OK\\r\\nX: y", [])
        return [b""]
    if path == "/status-short":
        start_response("20", [])
        return [b""]
    if path == "/unicode":
        start_response("200 OK", [("X-A", "\\u20ac")])
        return [b""]
    if path == "/bytes-header":
        start_response("200 OK", [(b"X-A", b"1")])
        return [b""]
    if path == "/bad-length":
        start_response("200 OK", [("Content-Length", "-5")])
        return [b""]
    if path == "/two-lengths":
        start_response("200 OK", [("Content-Length", "1"), ("content-length", "2")])
        return [b"a"]
    if path == "/too-long":
        start_response("200 OK", [("Content-Length", "3")])
        return [b"abcdef"]
    if path == "/too-short":
        start_response("200 OK", [("Content-Length", "30")])
        return [b"abc"]
    if path == "/missing":
        start_response("200 OK", [("Content-Length", "30")])
        return []
    if path == "/hop":
        start_response("200 OK", [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("X-A", "1")])
        return [b"body"]
    if path == "/close-fails":
        start_response("200 OK", [])
        return Closing([b"body"])
    if path == "/head-body":
        start_response("200 OK", [("Content-Length", "4")])
        return [b"body"]
    if path == "/no-content-body":
        start_response("204 No Content", [])
        return [b"body"]
    if path == "/file-cut":
        file = tempfile.TemporaryFile()
        file.write(b"0123456789")
        file.seek(2)
        start_response("200 OK", [("Content-Length", "5")])
        return environ["wsgi.file_wrapper"](file)
    if path == "/file-short":
        file = tempfile.TemporaryFile()
        file.write(b"0123456789")
        file.seek(0)
        start_response("200 OK", [("Content-Length", "50")])
        return environ["wsgi.file_wrapper"](file)
    if path == "/file-memory":
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"memory" * 20000))
    if path == "/read":
        try:
            data = environ["wsgi.input"].read()
        except OSError as error:
            data = type(error).__name__.encode()
            CLOSED.append(data)
            print("read failed:", error, file=sys.stderr, flush=True)
        start_response("200 OK", [])
        return [data]
    start_response("200 OK", [])
    return [b"ok"]
"""


@pytest.fixture(name="valid", scope="module", params=[1, 3], ids=["main-thread", "three-threads"])
def _valid(request: pytest.FixtureRequest) -> Iterator[Loader]:
    with loader(VALID, threads=request.param) as made:
        yield made


@pytest.fixture(name="broken", scope="module")
def _broken() -> Iterator[Loader]:
    with loader(BROKEN, threads=4) as made:
        yield made


@pytest.fixture(name="conn")
def _conn(valid: Loader) -> Iterator[Connection]:
    connection = valid.connect()
    yield connection
    connection.close()


@pytest.fixture(name="bad")
def _bad(broken: Loader) -> Iterator[Connection]:
    connection = broken.connect()
    yield connection
    connection.close()


def fresh(made: Loader, path: str = "/x") -> bytes:
    """The body of one response on a connection of its own."""
    conn = made.connect()
    try:
        return get(conn, path)[2]
    finally:
        conn.close()


def get(conn: Connection, path: str, body: bytes = b"", **head: str) -> tuple[str, dict[str, str], bytes]:
    conn.send({"PATH_INFO": path, **head}, body)
    return conn.response()


def test_many_requests_use_one_connection(conn: Connection) -> None:
    """With and without bodies, one after the other."""
    for number in range(50):
        assert get(conn, f"/{number}")[::2] == ("404 Not Found", f"hello /{number}".encode())
        assert get(conn, "/echo", b"x" * number + b"y")[2] == b"x" * number + b"y"


def test_requests_in_one_packet_are_all_answered(conn: Connection) -> None:
    """What was read of the next request with the one before is not lost, and pieces of a head are put together."""
    block = (
        request_bytes({"PATH_INFO": "/a"})
        + request_bytes({"PATH_INFO": "/echo"}, b"body")
        + request_bytes({"PATH_INFO": "/b"})
    )
    conn.sock.sendall(block[:3])
    conn.sock.sendall(block[3:50])
    conn.sock.sendall(block[50:])
    assert [conn.response()[2] for _ in range(3)] == [b"hello /a", b"body", b"hello /b"]


def test_environ_is_what_pep_3333_wants(conn: Connection) -> None:
    """Native strings, the server's own keys, no password."""
    _, _, body = get(conn, "/environ", HTTPS="on", HTTP_X_NAME="caf\xc3\xa9")
    environ = dict(eval(body))
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["wsgi.multithread"] in {"False", "True"}
    assert environ["wsgi.multiprocess"] == "True"
    assert environ["HTTP_X_NAME"] == "caf\xc3\xa9"
    assert environ["wsgi.input_terminated"] == "True"
    assert "PASSENGER_CONNECT_PASSWORD" not in environ
    _, _, body = get(conn, "/environ")
    assert dict(eval(body))["wsgi.url_scheme"] == "http"


def test_bodies_are_read_by_every_method(conn: Connection) -> None:
    """readline, readline with a limit, readlines, iteration, read behind the end."""
    assert eval(get(conn, "/lines", b"one\ntwothree\nfour\nfive")[2]) == [
        b"one\n",
        b"two",
        [b"three\n", b"four\n", b"five"],
        b"",
    ]
    assert eval(get(conn, "/iterate", b"a\n\nb")[2]) == [b"a\n", b"\n", b"b"]
    assert get(conn, "/iterate")[2] == b"[]"


def test_a_large_body_is_streamed_both_ways(conn: Connection) -> None:
    """More than any buffer holds, and the connection goes on."""
    body = bytes(range(256)) * 20_000
    conn.send({"PATH_INFO": "/echo", "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))})
    conn.sock.sendall(body)
    assert conn.response()[2] == body
    assert len(get(conn, "/big")[2]) == 5_000_000
    assert get(conn, "/x")[2] == b"hello /x"


def test_a_body_that_was_not_read_closes_the_connection(valid: Loader) -> None:
    """It could not be told from the next request. The response is whole and says so."""
    conn = valid.connect()
    conn.sock.sendall(
        request_bytes({"PATH_INFO": "/x", "CONTENT_LENGTH": "100000", "REQUEST_METHOD": "POST"}) + b"part"
    )
    status, headers, body = conn.response()
    assert (status, body, headers["connection"]) == ("404 Not Found", b"hello /x", "close")
    assert conn.is_closed()


def test_a_body_that_was_read_by_accident_keeps_the_connection(conn: Connection) -> None:
    """It came in the same packet, the application did not want it: nothing is left on the wire."""
    assert get(conn, "/unwanted", b"body")[2] == b"hello /unwanted"
    assert get(conn, "/next")[2] == b"hello /next"


def test_the_framing_of_each_kind_of_response(conn: Connection) -> None:
    """One piece: Content-Length. Several: chunked. Declared: as declared. None: none."""
    _, headers, body = get(conn, "/pieces")
    assert (headers["transfer-encoding"], body) == ("chunked", b"one two three")
    _, headers, body = get(conn, "/counted")
    assert (headers["content-length"], body) == ("6", b"abcdef")
    assert "transfer-encoding" not in headers
    assert get(conn, "/empty")[1]["content-length"] == "0"
    _, headers, body = get(conn, "/write")
    assert (headers["transfer-encoding"], body) == ("chunked", b"written twice returned")
    for path, status in (("/nothing", "204 No Content"), ("/unchanged", "304 Not Modified")):
        conn.send({"PATH_INFO": path})
        found, headers, _ = conn.response(body=False)
        assert found == status
        assert not {"content-length", "transfer-encoding"} & set(headers)
    assert get(conn, "/x")[2] == b"hello /x"


@pytest.mark.parametrize("path", ["/x", "/pieces", "/counted", "/write", "/big", "/empty", "/endless"])
def test_head_has_no_body(conn: Connection, path: str) -> None:
    """Whatever the application returns, even without end; the connection goes on."""
    conn.send({"PATH_INFO": path, "REQUEST_METHOD": "HEAD"})
    conn.response(body=False)
    assert get(conn, "/next")[2] == b"hello /next"


def test_a_recovered_error_replaces_the_head(conn: Connection) -> None:
    """start_response with exc_info before anything was sent."""
    assert get(conn, "/recover")[::2] == ("500 Oops", b"sorry")


def test_wsgi_errors_go_to_stderr(valid: Loader, conn: Connection) -> None:
    """And are flushed."""
    get(conn, "/errors")
    assert "said to wsgi.errors" in valid.errors()


def test_a_file_is_sent_from_where_it_stands(conn: Connection) -> None:
    """wsgi.file_wrapper, here through the validator: piece by piece."""
    assert get(conn, "/file")[2] == (b"0123456789" * 100_000)[7:]


def test_an_error_before_the_head_is_a_500(valid: Loader) -> None:
    """With the traceback on stderr and not in the response."""
    for path in ("/fail", "/fail-early"):
        conn = valid.connect()
        status, headers, body = get(conn, path)
        assert status == "500 Internal Server Error"
        assert headers["connection"] == "close"
        assert b"boom" not in body
        assert conn.is_closed()
    assert "RuntimeError: boom\n" in valid.errors()
    assert "RuntimeError: boom early" in valid.errors()


@pytest.mark.parametrize("path", ["/fail-late", "/fail-counted"])
def test_an_error_after_the_head_cuts_the_response(valid: Loader, path: str) -> None:
    """Fault matrix A5: it can't look complete."""
    conn = valid.connect()
    conn.send({"PATH_INFO": path})
    with pytest.raises(ConnectionError):
        conn.response()
    conn.close()


def test_close_is_called_once_on_every_path() -> None:
    """Success, errors early and late, a short body, a client that went away, HEAD."""
    with loader(VALID) as made:
        assert fresh(made, "/pieces") == b"one two three"
        for path in ("/fail-late", "/fail-early", "/fail-counted"):
            conn = made.connect()
            conn.send({"PATH_INFO": path})
            conn.sock.shutdown(socket.SHUT_WR)
            while conn.sock.recv(65536):
                pass
            conn.close()
        gone = made.connect()
        gone.send({"PATH_INFO": "/endless"})
        gone.take(1000)
        gone.close()
        head = made.connect()
        head.send({"PATH_INFO": "/pieces", "REQUEST_METHOD": "HEAD"})
        head.response(body=False)
        assert get(head, "/closed")[2] == b"body,late,early,short,endless,body"
        assert "BrokenPipe" not in made.errors()


@pytest.mark.parametrize(
    "path",
    [
        "/no-start",
        "/start-twice",
        "/str",
        "/str-pieces",
        "/none",
        "/split",
        "/name",
        "/status",
        "/status-short",
        "/unicode",
        "/bytes-header",
        "/bad-length",
        "/two-lengths",
    ],
)
def test_an_application_that_breaks_the_rules_gets_a_500(broken: Loader, bad: Connection, path: str) -> None:
    """Before a byte was sent, with a traceback that tells why, and the process goes on."""
    before = broken.errors().count("Traceback")
    status, _, body = get(bad, path)
    assert status == "500 Internal Server Error"
    assert b"evil" not in body
    assert broken.errors().count("Traceback") == before + 1
    assert fresh(broken) == b"ok"


def test_exc_info_after_the_head_raises(broken: Loader, bad: Connection) -> None:
    """PEP 3333: the error goes up, the response is cut."""
    bad.send({"PATH_INFO": "/exc-info-late"})
    with pytest.raises(ConnectionError):
        bad.response()
    assert "after the head" in broken.errors()


def test_surplus_bytes_are_dropped_and_missing_ones_cut(broken: Loader, bad: Connection) -> None:
    """The Content-Length is the law on the wire."""
    assert get(bad, "/too-long")[2] == b"abc"
    assert get(bad, "/x")[2] == b"ok"
    for path in ("/too-short", "/missing", "/file-short"):
        conn = broken.connect()
        conn.send({"PATH_INFO": path})
        with pytest.raises(ConnectionError):
            conn.response()
        conn.close()


def test_hop_by_hop_headers_stay_here(bad: Connection) -> None:
    """Framing and connection are ours to decide."""
    _, headers, body = get(bad, "/hop")
    assert (headers, body) == ({"x-a": "1", "content-length": "4"}, b"body")
    assert get(bad, "/x")[2] == b"ok"


def test_a_failing_close_comes_after_the_response(broken: Loader, bad: Connection) -> None:
    """The response is whole; the error is logged before the connection is closed."""
    assert get(bad, "/close-fails")[2] == b"body"
    assert bad.is_closed()
    assert fresh(broken) == b"ok"
    assert "close failed" in broken.errors()


@pytest.mark.parametrize(("path", "method"), [("/head-body", "HEAD"), ("/no-content-body", "GET")])
def test_a_body_where_none_may_be_is_not_sent(bad: Connection, path: str, method: str) -> None:
    """HEAD keeps the declared length, 204 has none."""
    bad.send({"PATH_INFO": path, "REQUEST_METHOD": method})
    _, headers, _ = bad.response(body=False)
    assert headers.get("content-length") == ("4" if method == "HEAD" else None)
    assert get(bad, "/x")[2] == b"ok"


def test_files_are_sent_within_their_length(bad: Connection) -> None:
    """By sendfile from a real file, piece by piece from anything else."""
    assert get(bad, "/file-cut")[2] == b"23456"
    assert get(bad, "/file-memory")[2] == b"memory" * 20000


def test_a_request_body_that_ends_early_is_an_error_for_its_reader(broken: Loader, bad: Connection) -> None:
    """Fault matrix: never a shorter body."""
    bad.sock.sendall(request_bytes({"PATH_INFO": "/read", "CONTENT_LENGTH": "100", "REQUEST_METHOD": "POST"}) + b"part")
    bad.sock.shutdown(socket.SHUT_WR)
    assert bad.response()[2] == b"BodyCutShortError"
    assert "96 bytes" in broken.errors()


def test_a_body_of_unknown_length_ends_with_the_connection(bad: Connection) -> None:
    """No CONTENT_LENGTH but a transfer encoding: until half-close, and the connection is not used again."""
    bad.sock.sendall(request_bytes({"PATH_INFO": "/read", "HTTP_TRANSFER_ENCODING": "chunked"}) + b"all of it")
    bad.sock.shutdown(socket.SHUT_WR)
    _, headers, body = bad.response()
    assert body == b"all of it"
    assert headers.get("connection") == "close" or bad.is_closed()


@pytest.mark.parametrize("password", ["", "wrong", "secreT", "secret\xff"])
def test_a_wrong_password_gets_no_answer(broken: Loader, password: str) -> None:
    """The connection is closed in silence."""
    conn = broken.connect()
    conn.send(password=password)
    assert conn.is_closed()


@pytest.mark.parametrize("method", ["ping", "PING"])
def test_ping_is_answered_and_closed(broken: Loader, method: str) -> None:
    """The health check of the session protocol."""
    conn = broken.connect()
    block = f"REQUEST_METHOD\0{method}\0PASSENGER_CONNECT_PASSWORD\0{PASSWORD}\0".encode()
    conn.sock.sendall(len(block).to_bytes(4, "big") + block)
    assert conn.take(4) == b"pong"
    assert conn.is_closed()


def test_a_client_with_the_method_ping_reaches_the_application(bad: Connection) -> None:
    """Methods are the client's to invent; a health check has no URI."""
    assert get(bad, "/closed", REQUEST_METHOD="PING")[0] == "200 OK"


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xffGET / HTTP/1.1\r\n", b"\0\0\0\3A\0B", b"\0\0\0\4A\0B\0", b"\0\0\0\0", b"\0\0\0\2\0\0", b"\0"],
)
def test_a_malformed_request_closes_the_connection_only(broken: Loader, data: bytes) -> None:
    """The process goes on with the next connection."""
    conn = broken.connect()
    conn.sock.sendall(data)
    conn.sock.shutdown(socket.SHUT_WR)
    assert conn.is_closed()
    assert fresh(broken) == b"ok"


def test_a_bad_content_length_closes_the_connection(broken: Loader) -> None:
    """It could hide a second request."""
    conn = broken.connect()
    conn.send({"CONTENT_LENGTH": "1_0"})
    assert conn.is_closed()
