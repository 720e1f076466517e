"""Clients that misbehave: malformed, smuggled, aborted, slow, half (fault matrix E2-E4, E6-E8, F1-F9)."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.probe import ProbeSite, open_gate, probe_site, wait_until
from tests.support.raw import answers, exchange, statuses

APPS = """
[apps.main]
app_root = "ROOT"
env.APP = "main"
max_instances = 1
max_request_queue_size = 2000
[apps.blog]
app_root = "ROOT"
env.APP = "blog"
base_uri = "/blog"
max_instances = 1
[apps.stream]
app_root = "ROOT"
env.APP = "stream"
server_names = ["stream.test"]
thread_count = 8
max_instances = 1
nginx = { request_buffering = false, response_buffering = false }
"""
HOST = b"Host: localhost\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[ProbeSite]:
    """An application at the root, one below a base URI, one that streams."""
    with probe_site(installation, shared_place, APPS) as running:
        yield running
        log = running.instance.lines.text()
        assert "defect" not in log
        assert "Traceback" not in "".join(line for line in running.instance.lines.seen if " request: " in line)


REFUSED = {
    "HTTP/0.9": b"GET /\r\n",
    "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    "host with slash": b"GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n",
    "method": b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "long method": b"A" * 100 + b" / HTTP/1.1\r\n" + HOST + b"\r\n",
    "trace": b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT localhost:22 HTTP/1.1\r\n" + HOST + b"\r\n",
    "options *": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "CL and TE": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two CLs": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "same CLs": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "CL list": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc",
    "CL plus": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "CL zero": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 03\r\n\r\nabc",
    "CL empty": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: \r\n\r\nabc",
    "CL negative": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\nabc",
    "CL huge": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "TE gzip": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "TE twice": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "TE space": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE in 1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE folded": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "fold": b"GET / HTTP/1.1\r\nX: 1\r\n 2\r\n" + HOST + b"\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nX: a\rb\r\n" + HOST + b"\r\n",
    "NUL": b"GET / HTTP/1.1\r\nX: a\0b\r\n" + HOST + b"\r\n",
    "empty name": b"GET / HTTP/1.1\r\n: x\r\n" + HOST + b"\r\n",
    "blank in name": b"GET / HTTP/1.1\r\nX Y: x\r\n" + HOST + b"\r\n",
    "two authorizations": b"GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n" + HOST + b"\r\n",
    "many headers": b"GET / HTTP/1.1\r\n"
    + b"".join(b"X-%d: %b\r\n" % (n, b"v" * 60) for n in range(1000))
    + HOST
    + b"\r\n",
    "long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n" + HOST + b"\r\n",
    "long URI": b"GET /" + b"a" * 16384 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "blank in URI": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "no slash": b"GET a HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "binary": bytes(range(255, 0, -1)) + b"\r\n\r\n",
}
NOT_OURS = {"TE gzip": 501, "bad chunk": 400}


@pytest.mark.parametrize("case", list(REFUSED))
def test_malformed_requests_are_refused_once(site: ProbeSite, case: str) -> None:
    """F3-F5: one 4xx (501 for a coding that does not exist), the connection closed, the application not bothered."""
    before = site.group("main")["counters"]["requests"]
    data = exchange(site.port, REFUSED[case])
    if case == "HTTP/0.9":
        assert b"400 Bad Request" in data
    else:
        (answer,) = answers(data)
        assert answer.status in {400, 405, 413, 414, 431} or answer.status == NOT_OURS.get(case)
    assert site.group("main")["counters"]["requests"] == before


ACCEPTED: dict[str, tuple[bytes, list[dict[str, str]]]] = {
    "HTTP/1.0": (b"GET /a HTTP/1.0\r\n\r\n", [{"SERVER_PROTOCOL": "HTTP/1.0"}]),
    "bare LF": (b"GET /a HTTP/1.1\nHost: localhost\nConnection: close\n\n", [{"PATH_INFO": "/a"}]),
    "absolute URI": (
        b"GET http://other.test/blog/a HTTP/1.1\r\n" + HOST + b"\r\n",
        [{"app": "blog", "PATH_INFO": "/a", "SCRIPT_NAME": "/blog", "SERVER_NAME": "other.test"}],
    ),
    "pipeline": (
        b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\n"
        + HOST
        + b"\r\n",
        [{"PATH_INFO": "/1", "body": "abc"}, {"PATH_INFO": "/2", "body": ""}, {"PATH_INFO": "/3", "body": ""}],
    ),
    "request in a body": (
        b"POST /1 HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 41\r\n\r\nGET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n",
        [{"PATH_INFO": "/1", "CONTENT_LENGTH": "41"}],
    ),
    "chunks": (
        b"POST /a HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n",
        [{"body": "abcde", "CONTENT_LENGTH": "5"}],
    ),
    "cookies": (
        b"GET /a HTTP/1.1\r\nCookie: a=1\r\nCookie: b=2\r\nAccept: x\r\nAccept: y\r\n" + HOST + b"\r\n",
        [{"HTTP_COOKIE": "a=1; b=2", "HTTP_ACCEPT": "x, y"}],
    ),
    "8 bit": (
        b"GET /\xff?\xfe HTTP/1.1\r\nX-A: \xfd\r\n" + HOST + b"\r\n",
        [{"PATH_INFO": "/\xff", "HTTP_X_A": "\xfd"}],
    ),
    "ping": (b"PING /a HTTP/1.1\r\n" + HOST + b"\r\n", [{"REQUEST_METHOD": "PING", "PATH_INFO": "/a"}]),
    "OOBW": (b"OOBW /a HTTP/1.1\r\n" + HOST + b"\r\n", [{"REQUEST_METHOD": "OOBW", "PATH_INFO": "/a"}]),
    "upgrade": (
        b"GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        [{"PATH_INFO": "/a"}],
    ),
}


@pytest.mark.parametrize("case", list(ACCEPTED))
def test_odd_but_legal_requests_arrive_as_they_were_meant(site: ProbeSite, case: str) -> None:
    """F4, F7, F9: as many requests as were sent, each with its own body."""
    data, expected = ACCEPTED[case]
    got = [json.loads(answer.body) for answer in answers(exchange(site.port, data))]
    assert [{name: one.get(name) for name in want} for one, want in zip(got, expected, strict=True)] == expected


def test_expect_is_answered_and_not_passed_on(site: ProbeSite) -> None:
    """N6: nginx says 100, the application sees the body only."""
    data = b"POST /a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    interim, final = answers(exchange(site.port, data))
    assert (interim.status, final.status) == (100, 200)
    assert json.loads(final.body)["body"] == "abc"
    assert "HTTP_EXPECT" not in json.loads(final.body)


PATHS = {
    "/": ("main", "", "/"),
    "/blog": ("blog", "/blog", ""),
    "/blog/": ("blog", "/blog", "/"),
    "/blog//x": ("blog", "/blog", "//x"),
    "/%62log": ("blog", "/blog", ""),
    "/blog%2fa": ("blog", "/blog", "/a"),
    "/blog/.": ("blog", "/blog", "/."),
    "/blog?x=/../": ("blog", "/blog", ""),
    "/blog#x": ("blog", "/blog", ""),
    "/blog/%0a": ("blog", "/blog", "/\n"),
    "/blog/..": ("main", "", "/blog/.."),
    "/blog/../x": ("main", "", "/blog/../x"),
    "/blog%2Fa/..%2f..": ("main", "", "/blog/a/../.."),
    "/blogger": ("main", "", "/blogger"),
    "/BLOG": ("main", "", "/BLOG"),
    "/blog;x": ("main", "", "/blog;x"),
    "/a\\b": ("main", "", "/a\\b"),
    "/%c0%ae%c0%ae/": ("main", "", "/\xc0\xae\xc0\xae/"),
    "/%2562log": ("main", "", "/%62log"),
    "//": ("main", "", "//"),
    "//blog": ("blog", "/blog", ""),
    "/x/../blog/y": ("blog", "/blog", "/y"),
    "/./blog/": ("blog", "/blog", "/"),
    "/../": None,
    "/%2e%2e/": None,
    "/..%2f": None,
    "/blog/../../": None,
    "/a%00": None,
    "/blog/%00": None,
    "/%": None,
    "/%zz": None,
    "*": None,
}


@pytest.mark.parametrize("path", list(PATHS))
def test_a_path_has_one_meaning(site: ProbeSite, path: str) -> None:
    """F7: nginx and the core agree on whose a path is, or it is a 400; it is decoded exactly once."""
    (answer,) = answers(exchange(site.port, b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), HOST)))
    expected = PATHS[path]
    if expected is None:
        assert answer.status == 400
    else:
        assert answer.status == 200
        given = json.loads(answer.body)
        assert (given["app"], given["SCRIPT_NAME"], given["PATH_INFO"]) == expected


def abort(port: int, data: bytes) -> None:
    """Send, and leave with a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, "little") + (0).to_bytes(4, "little"))
        sock.sendall(data)


def test_who_leaves_the_queue_is_never_served(site: ProbeSite) -> None:
    """E2: 1,000 clients leave while the only process is busy; the application never hears of one of them."""
    gate = site.gate("queue")
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as first:
        first.sendall(b"GET /do/gate?id=first&fifo=%b HTTP/1.1\r\n%b\r\n" % (os.fsencode(gate), HOST))
        site.wait_ledger("waiting first")
        before = site.group("main")["counters"]["departed_in_queue"]
        waiting = [socket.create_connection(("127.0.0.1", site.port), timeout=30) for _ in range(1000)]
        try:
            for number, sock in enumerate(waiting):
                sock.sendall(b"GET /do/ledger?%d HTTP/1.1\r\n%b\r\n" % (number, HOST))
            wait_until(lambda: site.group("main")["queue"] == 1000, "all of them wait")
        finally:
            for sock in waiting:
                sock.close()
        wait_until(lambda: site.group("main")["queue"] == 0, "all of them are gone", timeout=5)
        assert site.group("main")["counters"]["departed_in_queue"] - before == 1000
        open_gate(gate)
        assert first.recv(12) == b"HTTP/1.1 200"
    assert site.ask("/do/ledger?after") == "noted"
    assert [line for line in site.ledger() if line.startswith("got ")] == ["got after"]


def test_who_leaves_while_running_frees_the_process(site: ProbeSite) -> None:
    """E7, E8: `close()` once, the place free, and the next client gets its own answer."""
    gate = site.gate("running")
    abort(site.port, b"GET /do/gate?id=gone&fifo=%b HTTP/1.1\r\n%b\r\n" % (os.fsencode(gate), HOST))
    site.wait_ledger("waiting gone")
    open_gate(gate)
    for number in range(20):
        assert site.ask(f"/echo?{number}")["QUERY_STRING"] == str(number)
    site.wait_ledger("closed gone")
    assert site.ledger().count("closed gone") == 1
    assert site.ledger().count("answers gone") == 1
    wait_until(lambda: site.group("main")["processes"][0]["sessions"] == 0, "no session is left over")


def test_an_upload_cut_in_half_is_never_whole(site: ProbeSite) -> None:
    """E6: streamed, the application's read fails; buffered, it never hears of it."""
    head = b"POST /do/upload?%b HTTP/1.1\r\nHost: %b\r\nContent-Length: 100000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sock:
        sock.sendall(head % (b"streamed", b"stream.test") + b"x" * 50000)
        site.wait_ledger("begun streamed")
    site.wait_ledger("cut streamed BodyCutShortError")
    abort(site.port, head % (b"buffered", b"localhost") + b"x" * 50000)
    abort(site.port, head % (b"reset", b"stream.test") + b"x" * 50000)
    assert site.ask("/echo", host="stream.test")["app"] == "stream"
    assert site.ask("/echo")["app"] == "main"
    wait_until(lambda: not site.group("stream")["processes"][0]["sessions"], "no session is left over")
    lines = site.ledger()
    assert not [line for line in lines if line.startswith("whole") or "buffered" in line]


async def _slow(port: int, count: int, head: bytes) -> list[asyncio.StreamWriter]:
    """Connections that have sent `head` and then do nothing."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        writer.write(head)
        writers.append(writer)
    return writers


def slowest_get(site: ProbeSite) -> float:
    """Of 50, in seconds."""
    worst = 0.0
    for _ in range(50):
        began = time.monotonic()
        assert fetch(site.port, "/echo").status == 200
        worst = max(worst, time.monotonic() - began)
    return worst


async def _crowd(site: ProbeSite) -> float:
    """The best `slowest_get` while 1,000 connections send their head or their body slowly, or do not read.

    The best of some: taking 200 times 1 MiB from the application is the work of the first moments, and the machine may
    have other work. A crowd that held anything back would hold it back all the time.
    """
    heads = [
        b"GET /slow HTTP/1.1\r\nHost: local",
        b"POST /do/upload?slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc",
        b"GET /do/big HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]
    writers: list[asyncio.StreamWriter] = []
    try:
        for head, count in zip(heads, (400, 400, 200), strict=True):
            writers += await _slow(site.port, count, head)
        await asyncio.gather(*(writer.drain() for writer in writers))
        return await asyncio.get_running_loop().run_in_executor(None, lambda: min(slowest_get(site) for _ in range(8)))
    finally:
        for writer in writers:
            writer.transport.abort()


def test_a_thousand_slow_clients_cost_nobody_else(site: ProbeSite) -> None:
    """E3: slow heads, slow bodies and slow readers hold no process; a fast GET stays fast."""
    core = psutil.Process(site.component("core"))
    before = core.memory_full_info().uss

    def is_fast() -> bool:
        calm = slowest_get(site)  # a machine that is busy with something else is slow without any crowd
        return asyncio.run(_crowd(site)) < max(0.2, 4 * calm)

    wait_until(is_fast, "a fast GET is fast", timeout=90)
    assert core.memory_full_info().uss - before < 32 * 1024 * 1024
    assert not [line for line in site.ledger() if line.endswith(" slow")]
    wait_until(lambda: not site.group("main")["queue"], "nobody waits")
    core_cpu = core.cpu_times()
    assert site.ask("/echo")["app"] == "main"
    spent = core.cpu_times()
    assert spent.user + spent.system - core_cpu.user - core_cpu.system < 0.1


def test_a_body_beyond_the_limit_is_413(installation: Installation, place: Path) -> None:
    """E5: with a length and in chunks; the application hears of neither."""
    apps = '[apps.main]\napp_root = "ROOT"\nenv.APP = "main"\nnginx.client_max_body_size = "10KiB"\n'
    with probe_site(installation, place, apps) as site:
        head = b"POST /do/ledger?big HTTP/1.1\r\n" + HOST
        whole = head + b"Content-Length: 20000\r\n\r\n" + b"x" * 20000
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"4e20\r\n" + b"x" * 20000 + b"\r\n0\r\n\r\n"
        assert statuses(site.port, whole) == [413]
        assert statuses(site.port, chunked) == [413]
        assert site.ledger() == []
