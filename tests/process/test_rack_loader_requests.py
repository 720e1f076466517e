"""The Rack loader and the Rack specification: requests in, responses out, under Rack 2.2 and Rack 3.

Every application is wrapped in Rack::Lint unless it breaks the rules on purpose."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.loader import Connection
from tests.support.loader import request as request_bytes
from tests.support.rack import APPS, RackProgram, Ruby, Worker, rack2, rack3, rack_loader

BROKEN = """ODD = Object.new
def ODD.each
  yield 5
end
FILE = Struct.new(:to_path) { def each; yield "abc"; end }
CLOSED = Class.new(Array) { def close; raise "close failed"; end }
ROUTES = {
  "/file" => ->(_) { [200, {}, FILE.new(File.expand_path("config.ru"))] },
  "/file-part" => ->(_) { [200, { "content-length" => "3" }, FILE.new(File.expand_path("config.ru"))] },
  "/split" => ->(_) { [200, { "x-a" => "1\\r\\nset-cookie: evil=1" }, [""]] },
  "/name" => ->(_) { [200, { "x a:" => "1" }, [""]] },
  "/nul" => ->(_) { [200, { "x-a" => "1\\0" }, [""]] },
  "/status" => ->(_) { ["200 OK\\r\\nX: y", {}, [""]] },
  "/status-short" => ->(_) { [20, {}, [""]] },
  "/nil" => ->(_) { nil },
  "/no-headers" => ->(_) { [200, nil, [""]] },
  "/no-body" => ->(_) { [200, {}, nil] },
  "/odd" => ->(_) { [200, {}, ODD] },
  "/odd-array" => ->(_) { [200, {}, ["a", 5]] },
  "/bad-length" => ->(_) { [200, { "content-length" => "-5" }, [""]] },
  "/two-lengths" => ->(_) { [200, { "content-length" => "1", "Content-Length" => "2" }, ["a"]] },
  "/load" => ->(_) { require "nonesuch" },
  "/deep" => ->(env) { ROUTES["/deep"].call(env) },
  "/throw" => ->(_) { throw :async },
  "/text-status" => ->(_) { ["201", {}, ["ok"]] },
  "/too-long" => ->(_) { [200, { "content-length" => "3" }, ["abcdef"]] },
  "/too-short" => ->(_) { [200, { "content-length" => "30" }, ["abc"]] },
  "/missing" => ->(_) { [200, { "content-length" => "30" }, []] },
  "/hop" => ->(_) { [200, { "Connection" => "close", "Transfer-Encoding" => "chunked", "X-A" => 1 }, ["body"]] },
  "/internal" => ->(_) { [200, { "rack.note" => "secret", "x-a" => nil }, ["body"]] },
  "/latin" => ->(_) { [200, { "x-a" => "caf\u00e9" }, ["caf\u00e9"]] },
  "/close-fails" => ->(_) { [200, {}, CLOSED.new(["body"])] },
  "/no-content-body" => ->(_) { [204, { "content-length" => "4" }, ["body"]] },
  "/read" => ->(env) { [200, {}, [(env["rack.input"].read rescue warn("read failed: #{$!.class}") && "none").to_s]] },
  "/hijack-late" => ->(env) { env["rack.hijack"].call.close; raise "after" },
  "/forgotten" => ->(_) { [200, {}, ->(stream) { stream << "some" }] },
}
run ->(env) { ROUTES.fetch(env["PATH_INFO"], ->(_) { [200, {}, ["ok"]] }).call(env) }
"""

RUBIES = {"rack-2": rack2, "rack-3": rack3}


@pytest.fixture(name="ruby", scope="module", params=RUBIES)
def _ruby(request: pytest.FixtureRequest) -> Ruby:
    return RUBIES[request.param]()


@pytest.fixture(name="valid", scope="module", params=[1, 3], ids=["one-thread", "three-threads"])
def _valid(request: pytest.FixtureRequest, ruby: Ruby) -> Iterator[tuple[RackProgram, Worker]]:
    with rack_loader(APPS / "rack_app", threads=request.param, ruby=ruby) as made:
        yield made


@pytest.fixture(name="broken", scope="module")
def _broken(ruby: Ruby) -> Iterator[tuple[RackProgram, Worker]]:
    with rack_loader(BROKEN, threads=4, ruby=ruby) as made:
        yield made


@pytest.fixture(name="conn")
def _conn(valid: tuple[RackProgram, Worker]) -> Iterator[Connection]:
    connection = valid[1].connect()
    yield connection
    connection.close()


@pytest.fixture(name="bad")
def _bad(broken: tuple[RackProgram, Worker]) -> Iterator[Connection]:
    connection = broken[1].connect()
    yield connection
    connection.close()


def get(conn: Connection, path: str, body: bytes = b"", **head: str) -> tuple[str, dict[str, str], bytes]:
    conn.send({"PATH_INFO": path, "REQUEST_URI": path, **head}, body)
    return conn.response()


def fresh(worker: Worker, path: str, body: bytes = b"") -> tuple[str, dict[str, str], bytes]:
    """One response on a connection of its own."""
    conn = worker.connect()
    try:
        return get(conn, path, body)
    finally:
        conn.close()


def data(conn: Connection, path: str, body: bytes = b"", **head: str) -> Any:
    return json.loads(get(conn, path, body, **head)[2])


def test_the_rack_is_the_one_that_is_meant(ruby: Ruby) -> None:
    """Or all of these tests would test the same twice."""
    with rack_loader(
        "require 'uri'\nuse Rack::Lint\nrun ->(_) { [200, { 'content-type' => 'text/plain' }, [Rack.release]] }",
        ruby=ruby,
    ) as (_, worker):
        assert fresh(worker, "/")[2].decode().startswith(ruby.rack)


def test_many_requests_use_one_connection(conn: Connection) -> None:
    """With and without bodies, one after the other."""
    for number in range(50):
        assert get(conn, f"/{number}")[::2] == ("404 Not Found", f"hello /{number}".encode())
        assert get(conn, "/echo", b"x" * number + b"y")[2] == b"x" * number + b"y"


def test_requests_in_one_packet_are_all_answered(conn: Connection) -> None:
    """What was read of the next request with the one before is not lost, and pieces of a head are put together."""
    uri = {"REQUEST_URI": "/"}
    block = (
        request_bytes({"PATH_INFO": "/a", **uri})
        + request_bytes({"PATH_INFO": "/echo", **uri}, b"body")
        + request_bytes({"PATH_INFO": "/b", **uri})
    )
    conn.sock.sendall(block[:3])
    conn.sock.sendall(block[3:50])
    conn.sock.sendall(block[50:])
    assert [conn.response()[2] for _ in range(3)] == [b"hello /a", b"body", b"hello /b"]


def test_env_is_what_the_specification_wants(valid: tuple[RackProgram, Worker], conn: Connection) -> None:
    """The pairs of the request, the server's own keys, no password."""
    env = data(conn, "/env", HTTPS="on", HTTP_X_NAME="name", SCRIPT_NAME="/sub", CONTENT_LENGTH="", CONTENT_TYPE="")
    assert env["rack.url_scheme"] == "https"
    assert env["rack.multithread"] == ("session;3" in valid[1].announced[0])
    assert env["rack.multiprocess"] is True
    assert env["rack.run_once"] is False
    assert env["rack.hijack?"] is True
    assert (env["HTTP_X_NAME"], env["SCRIPT_NAME"], env["PATH_INFO"]) == ("name", "/sub", "/env")
    assert not {"PASSENGER_CONNECT_PASSWORD", "CONTENT_LENGTH", "CONTENT_TYPE"} & set(env)
    assert data(conn, "/env")["rack.url_scheme"] == "http"


def test_bodies_are_read_by_every_method(conn: Connection) -> None:
    """gets, read with and without a length, with a buffer, each, behind the end."""
    assert data(conn, "/parts", b"one\ntwothree") == ["one\n", "two", "", "three", "", None, None]
    assert data(conn, "/parts") == [None, None, "", "", "", None, None]
    assert data(conn, "/lines", b"a\n\nb") == ["a\n", "\n", "b"]
    assert get(conn, "/buffer", b"12345")[2] == b"true 1234"
    many = b"".join(b"line %d\n" % number for number in range(20_000))
    assert "".join(data(conn, "/lines", many)).encode() == many


@pytest.mark.parametrize("size", [3, 100_000, 3_000_000])
def test_rack_2_reads_a_body_again(size: int) -> None:
    """Kept in memory, or in a file when it is large."""
    body = (b"first\n" + b"x" * size)[:size]
    with rack_loader(APPS / "rack_app", ruby=rack2()) as (made, worker):
        first, again, start, rest = json.loads(fresh(worker, "/again", body)[2])
        assert (first, again, start) == (body[:5].decode(), size, body[:20].decode())
        line = body.find(b"\n") + 1 or size
        assert rest == [line, size - line]
        assert made.folder.exists()


def test_rack_3_has_no_rewind() -> None:
    """So nothing is kept."""
    with rack_loader(APPS / "rack_app", ruby=rack3()) as (made, worker):
        assert fresh(worker, "/again", b"body")[0] == "500 Internal Server Error"
        made.wait_error("undefined method `rewind'")


def test_a_large_body_is_streamed_both_ways(conn: Connection) -> None:
    """More than any buffer holds, and the connection goes on."""
    body = bytes(range(256)) * 20_000
    conn.send({"PATH_INFO": "/echo", "REQUEST_URI": "/", "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))})
    conn.sock.sendall(body)
    assert conn.response()[2] == body
    assert len(get(conn, "/big")[2]) == 5_000_000
    assert get(conn, "/x")[2] == b"hello /x"


def test_a_body_that_was_not_read_closes_the_connection(valid: tuple[RackProgram, Worker]) -> None:
    """It could not be told from the next request. The response is whole and says so."""
    conn = valid[1].connect()
    head = {"PATH_INFO": "/x", "REQUEST_URI": "/", "CONTENT_LENGTH": "100000", "REQUEST_METHOD": "POST"}
    conn.sock.sendall(request_bytes(head) + b"part")
    status, headers, body = conn.response()
    assert (status, body, headers["connection"]) == ("404 Not Found", b"hello /x", "close")
    assert conn.is_closed()


def test_a_body_that_was_read_by_accident_keeps_the_connection(conn: Connection) -> None:
    """It came in the same packet, the application did not want it: nothing is left on the wire."""
    assert get(conn, "/unwanted", b"body")[2] == b"hello /unwanted"
    assert get(conn, "/next")[2] == b"hello /next"


def test_a_client_that_leaves_in_its_body_is_an_error_for_the_reader(broken: tuple[RackProgram, Worker]) -> None:
    """Never a shorter body."""
    conn = broken[1].connect()
    head = {"PATH_INFO": "/read", "REQUEST_URI": "/", "CONTENT_LENGTH": "100000", "REQUEST_METHOD": "POST"}
    conn.sock.sendall(request_bytes(head) + b"part")
    conn.sock.shutdown(socket.SHUT_WR)
    assert conn.response()[2] == b""
    broken[0].wait_error("read failed: PhusionPassenger::Loader::BodyCutShort")


def test_the_framing_of_each_kind_of_response(ruby: Ruby, conn: Connection) -> None:
    """Known as a whole: Content-Length. Else: chunked. Declared: as declared. None: none."""
    _, headers, body = get(conn, "/pieces")
    assert (headers["transfer-encoding"], body) == ("chunked", "one two thrée".encode())
    _, headers, body = get(conn, "/counted")
    assert (headers["content-length"], body) == ("6", b"abcdef")
    assert "transfer-encoding" not in headers
    assert get(conn, "/empty")[1]["content-length"] == "0"
    _, headers, body = get(conn, "/array")  # Rack::Lint 2 hides that it is an Array
    assert (headers.get("content-length"), body) == ("7" if ruby.rack == "3." else None, b"anarray")
    for path, status in (("/nothing", "204 No Content"), ("/unchanged", "304 Not Modified")):
        conn.send({"PATH_INFO": path, "REQUEST_URI": path})
        found, headers, _ = conn.response(body=False)
        assert found == status
        assert not {"content-length", "transfer-encoding"} & set(headers)
    assert get(conn, "/x")[2] == b"hello /x"


def test_a_header_with_several_values_becomes_several_lines(conn: Connection) -> None:
    """An Array in Rack 3, lines in Rack 2."""
    conn.send({"PATH_INFO": "/cookies", "REQUEST_URI": "/cookies"})
    received = b""
    while b"ok" not in received:
        received += conn.sock.recv(65536)
    assert b"\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n" in received


def test_a_file_is_sent_by_its_path(ruby: Ruby, conn: Connection, bad: Connection) -> None:
    """With its length, unless the application means a part of it. (Rack::Lint 2 hides that it is a file.)"""
    _, headers, body = get(conn, "/file")
    assert body == b"0123456789" * 100_000
    assert headers.get("content-length") == ("1000000" if ruby.rack == "3." else None)
    _, headers, body = get(bad, "/file")
    assert (headers["content-length"], body[:4]) == (str(len(body)), b"ODD ")
    assert get(bad, "/file-part")[2] == b"abc"
    conn.send({"PATH_INFO": "/file", "REQUEST_URI": "/file", "REQUEST_METHOD": "HEAD"})
    conn.response(body=False)
    assert get(conn, "/x")[2] == b"hello /x"


@pytest.mark.parametrize("path", ["/x", "/pieces", "/counted", "/array", "/big", "/empty", "/endless"])
def test_head_has_no_body(conn: Connection, path: str) -> None:
    """Whatever the application returns, even without end; the connection goes on."""
    conn.send({"PATH_INFO": path, "REQUEST_URI": path, "REQUEST_METHOD": "HEAD"})
    conn.response(body=False)
    assert get(conn, "/next")[2] == b"hello /next"


def test_rack_errors_go_to_stderr(valid: tuple[RackProgram, Worker], conn: Connection) -> None:
    """At once."""
    get(conn, "/errors")
    valid[0].wait_error("said to rack.errors")


def test_an_error_before_the_head_is_a_500(valid: tuple[RackProgram, Worker]) -> None:
    """With the backtrace of the application on stderr and nothing of it in the response."""
    for path in ("/fail", "/fail-early"):
        conn = valid[1].connect()
        status, headers, body = get(conn, path)
        assert (status, headers["connection"]) == ("500 Internal Server Error", "close")
        assert b"boom" not in body
        assert conn.is_closed()
    valid[0].wait_error("boom (RuntimeError)")
    valid[0].wait_error("boom early (RuntimeError)")
    assert "helper_scripts" not in valid[0].errors()


def test_an_error_after_the_head_cuts_the_response(valid: tuple[RackProgram, Worker]) -> None:
    """Fault matrix A5: it can't look complete."""
    conn = valid[1].connect()
    conn.send({"PATH_INFO": "/fail-late", "REQUEST_URI": "/"})
    with pytest.raises(ConnectionError):
        conn.response()
    conn.close()


def test_bodies_are_closed_once_on_every_path(ruby: Ruby) -> None:
    """Success, errors early and late, HEAD, no content, a client that went away."""
    with rack_loader(APPS / "rack_app", ruby=ruby) as (_, worker):
        fresh(worker, "/notes")
        fresh(worker, "/pieces")
        for path in ("/fail-early", "/fail-late"):
            conn = worker.connect()
            conn.send({"PATH_INFO": path, "REQUEST_URI": path})
            conn.sock.shutdown(socket.SHUT_WR)
            while conn.sock.recv(65536):
                pass
        gone = worker.connect()
        gone.send({"PATH_INFO": "/endless", "REQUEST_URI": "/"})
        gone.take(1000)
        gone.close()
        for path, method in (("/empty", "HEAD"), ("/unchanged", "GET"), ("/file", "GET")):
            conn = worker.connect()
            conn.send({"PATH_INFO": path, "REQUEST_URI": path, "REQUEST_METHOD": method})
            conn.response(body=path == "/file")
            conn.close()
        closed = json.loads(fresh(worker, "/notes")[2])
        names = ["pieces", "early", "late", "endless", "empty", "unchanged", "file"]
        assert closed == [f"closed {name}" for name in names]


def test_response_finished_is_told(ruby: Ruby) -> None:
    """In reverse order, with the status, or the error, and after the response."""
    with rack_loader(APPS / "rack_app", ruby=ruby) as (_, worker):
        fresh(worker, "/notes")
        conn = worker.connect()
        get(conn, "/finished")
        assert data(conn, "/notes") == ["finished first", "finished 200 NilClass"]
        assert fresh(worker, "/finished-badly")[0] == "500 Internal Server Error"
        assert data(conn, "/notes") == ["closed badly", "finished 200 ArgumentError"]


def test_a_hijacked_connection_belongs_to_the_application(valid: tuple[RackProgram, Worker]) -> None:
    """With what was already read of it, and the worker is free for others."""
    conn = valid[1].connect()
    conn.sock.sendall(request_bytes({"PATH_INFO": "/hijack", "REQUEST_URI": "/hijack"}) + b"y")
    assert conn.head() == ("200 OK", {"connection": "close"})
    assert fresh(valid[1], "/x")[2] == b"hello /x"
    conn.sock.sendall(b"o")
    assert conn.take(8) == b"hello yo"
    assert conn.is_closed()


def test_a_partial_hijack_writes_the_body_itself(valid: tuple[RackProgram, Worker]) -> None:
    """Behind a head that promises nothing but the end of the connection."""
    conn = valid[1].connect()
    conn.send({"PATH_INFO": "/half-hijack", "REQUEST_URI": "/"})
    assert conn.head() == ("200 OK", {"content-type": "text/plain", "connection": "close"})
    assert conn.take(3) == b"raw"
    assert conn.is_closed()


def test_a_connection_can_be_upgraded(valid: tuple[RackProgram, Worker]) -> None:
    """101 keeps its Connection and Upgrade headers, and both sides speak."""
    conn = valid[1].connect()
    conn.send({"PATH_INFO": "/upgrade", "REQUEST_URI": "/", "HTTP_CONNECTION": "upgrade", "HTTP_UPGRADE": "echo"})
    assert conn.head() == ("101 Switching Protocols", {"connection": "Upgrade", "upgrade": "echo"})
    conn.sock.sendall(b"hi")
    assert conn.take(4) == b"<hi>"
    assert conn.is_closed()


def test_a_wish_for_an_upgrade_changes_nothing_by_itself(conn: Connection) -> None:
    """Any client may send those headers: nobody waits for a body that has no length."""
    for _ in range(2):
        assert get(conn, "/echo", HTTP_CONNECTION="Upgrade", HTTP_UPGRADE="h2c", HTTP_VERSION="9")[2] == b""
    assert get(conn, "/x")[2] == b"hello /x"


def test_rack_3_bodies_may_stream() -> None:
    """By call, in the worker or in a thread; the connection goes on."""
    with rack_loader(APPS / "rack_app", ruby=rack3()) as (_, worker):
        conn = worker.connect()
        assert get(conn, "/stream")[1:] == (
            {"content-type": "text/plain", "transfer-encoding": "chunked"},
            b"one two three",
        )
        assert get(conn, "/stream-thread")[2] == b"from a thread"
        assert get(conn, "/x")[2] == b"hello /x"
        conn.send({"PATH_INFO": "/stream", "REQUEST_URI": "/", "REQUEST_METHOD": "HEAD"})
        conn.response(body=False)
        assert get(conn, "/stream-echo", b"body" * 50_000)[2] == b"body" * 50_000


def test_a_stream_that_is_never_closed_ends_with_its_client(broken: tuple[RackProgram, Worker]) -> None:
    """And the thread is free again: five times, with four threads."""
    for _ in range(5):
        conn = broken[1].connect()
        conn.send({"PATH_INFO": "/forgotten", "REQUEST_URI": "/"})
        assert conn.head()[0] == "200 OK"
        assert conn.take(9) == b"4\r\nsome\r\n"
        conn.close()
    assert fresh(broken[1], "/x")[2] == b"ok"


@pytest.mark.parametrize(
    "path",
    [
        "/split",
        "/name",
        "/nul",
        "/status",
        "/status-short",
        "/nil",
        "/no-headers",
        "/no-body",
        "/odd",
        "/odd-array",
        "/bad-length",
        "/two-lengths",
        "/load",
        "/deep",
        "/throw",
    ],
)
def test_what_cannot_be_sent_is_a_500(broken: tuple[RackProgram, Worker], bad: Connection, path: str) -> None:
    """Header injection, wrong types, errors that are no StandardError: said on stderr, and others are served."""
    if path == "/status":  # Ruby reads the number in front; what is sent is that number only
        assert get(bad, path)[0] == "200 OK"
        return
    status, headers, _ = get(bad, path)
    assert (status, "set-cookie" in headers) == ("500 Internal Server Error", False)
    assert bad.is_closed()
    assert fresh(broken[1], "/x")[2] == b"ok"


def test_lengths_are_enforced(broken: tuple[RackProgram, Worker], bad: Connection) -> None:
    """Too much is cut off, too little cuts the connection."""
    assert get(bad, "/too-long")[2] == b"abc"
    assert get(bad, "/x")[2] == b"ok"
    for path in ("/too-short", "/missing"):
        conn = broken[1].connect()
        conn.send({"PATH_INFO": path, "REQUEST_URI": path})
        with pytest.raises(ConnectionError):
            conn.response()


def test_headers_that_are_not_the_applications_business_are_dropped(bad: Connection) -> None:
    """Hop-by-hop ones, and Rack's own."""
    assert get(bad, "/hop")[1] == {"X-A".lower(): "1", "content-length": "4"}
    assert get(bad, "/internal")[1] == {"content-length": "4"}
    bad.send({"PATH_INFO": "/no-content-body", "REQUEST_URI": "/"})
    assert bad.response(body=False)[:2] == ("204 No Content", {})
    assert get(bad, "/latin")[1]["x-a"].encode("latin-1").decode() == "café"
    assert get(bad, "/text-status")[0] == "201 Created"


def test_a_body_whose_close_fails_is_reported(broken: tuple[RackProgram, Worker], bad: Connection) -> None:
    """The response is whole already."""
    assert get(bad, "/close-fails")[2] == b"body"
    assert bad.is_closed()
    broken[0].wait_error("close failed")


def test_an_error_after_a_hijack_is_only_reported(broken: tuple[RackProgram, Worker], bad: Connection) -> None:
    """Nothing is written to a connection that is the application's."""
    bad.send({"PATH_INFO": "/hijack-late", "REQUEST_URI": "/"})
    assert bad.is_closed()
    assert fresh(broken[1], "/x")[2] == b"ok"
    broken[0].wait_error("after (RuntimeError)")


@pytest.mark.parametrize("method", ["PING", "ping"])
def test_ping_is_answered(valid: tuple[RackProgram, Worker], method: str) -> None:
    """Also while an idle kept-alive connection is open in every thread; never for a client that invents the method."""
    idle = [valid[1].connect() for _ in range(4)]
    for conn in idle:
        get(conn, "/x")
    ping = valid[1].connect()
    ping.sock.sendall(request_bytes_without_uri(method))
    assert ping.take(4) == b"pong"
    assert ping.is_closed()
    assert get(idle[0], "/x", REQUEST_METHOD=method)[2] == b"hello /x"
    for conn in idle:
        assert get(conn, "/x")[2] == b"hello /x"
        conn.close()


def test_out_of_band_work_is_asked_for_and_done(ruby: Ruby) -> None:
    """The response header passes through, `OOBW` fires the event."""
    with rack_loader(APPS / "rack_app", ruby=ruby) as (_, worker):
        conn = worker.connect()
        assert get(conn, "/work")[1]["!~request-oob-work"] == "true"
        get(conn, "/notes")
        oobw = worker.connect()
        oobw.sock.sendall(request_bytes_without_uri("OOBW"))
        assert oobw.take(9) == b"oobw done"
        assert oobw.is_closed()
        assert data(conn, "/notes") == ["oob_work"]


def test_a_wrong_password_is_no_way_in(valid: tuple[RackProgram, Worker]) -> None:
    """Closed without a word, whatever its length."""
    for password in ("", "secreT", "secret1", "secre", "Secret"):
        conn = valid[1].connect()
        conn.send({"PATH_INFO": "/x", "REQUEST_URI": "/"}, password=password)
        assert conn.is_closed()
    valid[0].wait_error("wrong connect password")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\0\x03a\0b",
        b"\0\0\0\x02a\0",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack(">I", 4) + b"a\0b\0",
    ],
)
def test_what_is_no_request_is_closed(valid: tuple[RackProgram, Worker], garbage: bytes) -> None:
    """And the next one is served."""
    conn = valid[1].connect()
    conn.sock.sendall(garbage)
    conn.sock.shutdown(socket.SHUT_WR)
    assert conn.is_closed()
    assert fresh(valid[1], "/x")[2] == b"hello /x"


@pytest.mark.parametrize("length", ["1_0", "-1", "+1", "1 ", "9" * 19])
def test_a_length_that_is_no_number_is_refused(broken: tuple[RackProgram, Worker], length: str) -> None:
    """It could hide a second request."""
    conn = broken[1].connect()
    conn.send({"CONTENT_LENGTH": length, "REQUEST_URI": "/"})
    assert conn.is_closed()


def request_bytes_without_uri(method: str) -> bytes:
    pairs = f"REQUEST_METHOD\0{method}\0PASSENGER_CONNECT_PASSWORD\0secret\0".encode()
    return struct.pack(">I", len(pairs)) + pairs


def test_a_list_that_is_none_is_asked_once_and_sent_piece_by_piece() -> None:
    """Rails answers `to_ary` with an Enumerator: run once, cut by what it raises in its middle, closed."""
    source = """
RUNS = []
class Body
  def initialize(broken) = @broken = broken
  def to_ary
    Enumerator.new do |pieces|
      RUNS << "run"
      pieces << "one " << "two"
      raise "broken" if @broken
    end
  end
  def each(&block) = to_ary.each(&block)
  def close = RUNS << "closed"
end
run ->(env) { [200, {}, env["PATH_INFO"] == "/runs" ? [RUNS.join(" ")] : Body.new(env["PATH_INFO"] == "/broken")] }
"""
    with rack_loader(source) as (_, worker):
        head, body = fresh(worker, "/")[1:]
        assert (head.get("content-length"), body) == (None, b"one two")
        with pytest.raises(ConnectionError, match="cut"):
            fresh(worker, "/broken")
        assert fresh(worker, "/runs")[2] == b"run closed run closed"
