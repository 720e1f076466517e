"""Applications that speak HTTP, behind nginx and core: whose bytes are whose, in both directions (F5, A12, E6)."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.nodeapps import needed
from tests.support.probe import ProbeSite, wait_until
from tests.support.raw import answers, exchange
from tests.support.running import free_port, running

CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[defaults]
nginx.request_buffering = false

[apps.raw]
app_root = "raw_http"
app_start_command = "{python} server.py"
server_names = ["raw.test"]

[apps.buffered]
app_root = "raw_http"
app_start_command = "{python} server.py"
server_names = ["buffered.test"]
nginx.request_buffering = true

[apps.upload]
app_root = "node_upload"
startup_file = "app.mjs"
server_names = ["upload.test"]

[apps.stored]
app_root = "node_upload"
startup_file = "app.mjs"
server_names = ["stored.test"]
nginx.request_buffering = true
"""
MIB = 1024 * 1024
INNER = b"GET /smuggled HTTP/1.1\r\nHost: raw.test\r\nX: "
POST = b"POST /outer HTTP/1.1\r\nHost: @\r\nConnection: close\r\n"


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[ProbeSite]:
    """Two applications, each with and without request buffering."""
    needed("node", "nodejs")
    for name in ("raw_http", "node_upload"):
        projects.copy(name, shared_place)
    config, port = shared_place / "passenger.toml", free_port()
    config.write_text(CONFIG.format(port=port, python=installation.python))
    with running(installation.passenger, config) as instance:
        instance.wait_started(timeout=60)
        yield ProbeSite(instance, port, shared_place)


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def sized(body: bytes, method: bytes = b"POST") -> bytes:
    return POST.replace(b"POST", method) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


CORPUS = {
    "a request in a body": sized(INNER + b"y\r\n\r\n"),
    "a request in the body of a GET": sized(INNER + b"y\r\n\r\n", b"GET"),
    "a request in the body of a DELETE": sized(INNER + b"y\r\n\r\n", b"DELETE"),
    "a request in a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(INNER + b"y\r\n\r\n"),
    "a request behind the last chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"abc") + INNER,
    "a request behind the length": sized(b"abc") + INNER + b"y\r\n\r\n",
    "CL.TE": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "TE.CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunks(INNER),
    "TE in other letters": POST + b"Transfer-Encoding: ChUnKeD\r\n\r\n" + chunks(b"abc"),
    "TE with a tab": POST + b"Transfer-Encoding:\tchunked\r\n\r\n" + chunks(b"abc"),
    "TE xchunked": POST + b"Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc" + INNER,
    "TE chunked, identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunks(INNER),
    "TE by another name": POST + b"Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "CL by another name": POST + b"Content_Length: 90\r\nContent-Length: 3\r\n\r\nabc",
    "a chunk extension": POST + b'Transfer-Encoding: chunked\r\n\r\n3;a="b\r\n"\r\nabc\r\n0\r\n\r\n',
    "a chunk size with 0x": POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd" + INNER + b"\r\n0\r\n\r\n",
    "a huge chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + INNER,
    "trailers": POST + b"Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"abc", end=b"0\r\nContent-Length: 99\r\nX-Late: 1\r\n\r\n"),
    "Connection names the length": sized(b"abc").replace(b"Connection: close", b"Connection: close, content-length"),
    "hop by hop": POST + b"Keep-Alive: timeout=9\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    "Expect": POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "h2c": POST.replace(b"close", b"Upgrade, HTTP2-Settings, close") + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 3\r\n\r\nabc",
    "an upgrade with a body": sized(INNER).replace(b"close", b"close, Upgrade\r\nUpgrade: websocket"),
    "a line end in the target": b"GET /outer%0d%0aHost:%20x HTTP/1.1\r\nHost: @\r\nConnection: close\r\n\r\n",
    "an absolute target": b"GET http://@/outer HTTP/1.1\r\nHost: @\r\nConnection: close\r\n\r\n",
    "a pipeline": sized(b"abc").replace(b"Connection: close\r\n", b"") + POST.replace(b"POST /outer", b"GET /outer/2") + b"\r\n",
}  # fmt: skip
NEVER = re.compile(
    r"(?im)^(?:transfer-encoding|te|trailer|keep-alive|proxy-connection|upgrade|http2-settings-|expect|connection)\s*:"
)


HARMLESS = {
    "a request in a body",
    "a request in a chunk",
    "TE in other letters",
    "an absolute target",
    "Expect",
    "trailers",
}


@pytest.mark.parametrize("app", ["raw", "buffered"])
def test_the_application_sees_the_requests_that_nginx_saw(site: ProbeSite, app: str) -> None:
    """F5: as many as were passed on, framed by us alone, and nothing that stood in a body."""
    host = f"{app}.test"
    site.ask("/seen", host=host)
    before, total = site.group(app)["counters"]["requests"], 0
    for case, data in CORPUS.items():
        found = [one.status for one in answers(exchange(site.port, data.replace(b"@", host.encode())))]
        seen: list[str] = site.ask("/seen", host=host)
        assert len(seen) == found.count(200), (case, found, seen)
        assert seen or case not in HARMLESS, (case, found)
        for head in seen:
            assert head.split(" ")[1].startswith("/outer"), (case, head)
            assert not NEVER.search(head), (case, head)
            assert len(re.findall(r"(?im)^content-length\s*:", head)) <= 1, (case, head)
            assert "smuggled" not in head, (case, head)
        total += len(seen) + 1
    assert site.group(app)["counters"]["requests"] - before == total


@pytest.mark.parametrize("path", ["/twice", "/surplus", "/late"])
def test_what_nobody_asked_for_reaches_nobody(site: ProbeSite, path: str) -> None:
    """A12: what is said behind a response is dropped, and so is the connection; the next requests get their own."""
    note = site.place / "raw_http" / "late"
    for number in range(30):
        assert fetch(site.port, path, host="raw.test").text == path
        if path == "/late":  # said while a request is under way it would be the answer to that: nobody could tell
            wait_until(lambda: note.exists() and note.stat().st_size > number, "it was said")  # noqa: B023
        assert fetch(site.port, f"/{number}", host="raw.test").text == f"/{number}"


@pytest.mark.parametrize("app", ["upload", "stored"])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 70_000, 24 * MIB])
def test_uploads_arrive_whole(site: ProbeSite, app: str, framing: str, size: int) -> None:
    """Whether nginx stores the body first or not, and however the client frames it: ours is a Content-Length."""
    body = bytes(range(251)) * (size // 251 + 1)
    body = body[:size]
    sent = body if framing == "sized" else (body[at : at + 50_000] for at in range(0, size, 50_000))
    answer = fetch(site.port, "/", method="POST", body=sent, host=f"{app}.test")
    told: dict[str, Any] = json.loads(answer.text)
    assert (told["size"], told["digest"]) == (size, hashlib.sha256(body).hexdigest())
    assert (told["length"], told["coding"]) == (str(size), None)


def test_a_client_that_leaves_in_its_upload_is_missed(site: ProbeSite) -> None:
    """E6: the application sees the end of the connection, never a short body as a whole one."""
    begun = len(site.ask("/notes", host="upload.test"))
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as client:
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: upload.test\r\nContent-Length: 100000\r\n\r\n" + b"x" * 60_000)
        wait_until(lambda: "begun" in site.ask("/notes", host="upload.test")[begun:], "the upload began")
    wait_until(lambda: len(site.ask("/notes", host="upload.test")) == begun + 2, "its end was noticed")
    assert re.fullmatch(r"left after \d+", site.ask("/notes", host="upload.test")[-1])


def test_connections_are_kept(site: ProbeSite) -> None:
    """Request after request over the same one, also behind a body."""
    first = json.loads(fetch(site.port, host="upload.test").text)["connections"]
    for number in range(40):
        body = b"x" * number
        told = json.loads(fetch(site.port, method="POST", body=body, host="upload.test").text)
    assert told["connections"] <= first + 2
