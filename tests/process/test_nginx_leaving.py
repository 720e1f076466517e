"""While an instance leaves, nginx says `Connection: close` (E2), and answers all else exactly as before."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from passenger.config.instance import Watchdog
from passenger.config.model import App, InstanceConfig
from tests.process.test_nginx_static import configure as static_site
from tests.process.test_nginx_static import port_of
from tests.support.http import Answer, fetch
from tests.support.nginx_server import NginxServer, binary_paths, nginx_server
from tests.support.probe import wait_until
from tests.support.scgi_backend import ScgiBackend

TARGETS = [
    (prefix + path, method)
    for prefix in ("", "/sub/uri", "/bare", "/none")
    for path in (
        "/", "/x.css", "/x.css?v=1&w=%20", "//x.css", "/dir%2fy.js", "/dir/../x.css", "/dir/index.html", "/semi;colon.txt",
        "/%C3%BC%20b.txt", "/.env", "/%2eenv", "/.hidden/z.txt", "/out.txt", "/outdir/app.py", "/inside.css", "/fifo",
        "/none", "/a%3Fb", "/a%0ab?c", "/a%25b", "/a%23b", "/$1$uri",
    )
    for method in ("GET", "HEAD", "POST")
]  # fmt: skip
PASSING = {"date", "connection"}
EVERY_TIME = {"HTTP_X_REQUEST_ID", "HTTP_X_REQUEST_START", "REMOTE_PORT"}


def configure(root: Path, addresses: list[str]) -> InstanceConfig:
    """The site of the static tests, one of its applications with upgrades, and a delay."""
    site = static_site(root, addresses)
    apps = {**site.apps, "live": App(app_root=str(root), base_uri="/live", app_type="node", startup_file="app.js")}
    return replace(site, apps=apps, instance=replace(site.instance, watchdog=Watchdog(drain_delay=5.0)))


@pytest.fixture(params=binary_paths(), ids=["wheel", "host"][: len(binary_paths())], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[NginxServer]:
    with nginx_server(request.param, configure) as running, ScgiBackend(running.paths.request):
        yield running


def leave(server: NginxServer) -> None:
    Path(server.paths.leaving).touch(mode=0o644)
    wait_until(lambda: asked(server, "/none").headers["connection"] == "close", "clients are told")


def stay(server: NginxServer) -> None:
    Path(server.paths.leaving).unlink(missing_ok=True)
    wait_until(lambda: asked(server, "/none").headers["connection"] == "keep-alive", "nobody is told any more")


def asked(server: NginxServer, target: str, method: str = "GET", **headers: str) -> Answer:
    """The answer to a client that would keep its connection."""
    body = b"a body" if method == "POST" else None
    return fetch(port_of(server), target, method=method, body=body, headers=headers)


def essence(answer: Answer) -> tuple[object, ...]:
    """What must not differ: status, headers, body, and all that the core was told."""
    headers = {name: value for name, value in answer.headers.items() if name not in PASSING}
    if not answer.headers.get("content-type", "").startswith("application/json") or not answer.body:
        return answer.status, headers, answer.body
    said = json.loads(answer.body)
    pairs = [pair for pair in said["pairs"] if pair[0] not in EVERY_TIME]
    return answer.status, {n: v for n, v in headers.items() if n != "content-length"}, pairs, said["body"]


def test_everything_is_answered_as_before_but_for_the_connection(server: NginxServer) -> None:
    """Files, dotfiles, links, odd paths, bodies, every application and none."""
    stay(server)
    before = [asked(server, *target) for target in TARGETS]
    leave(server)
    after = [asked(server, *target) for target in TARGETS]
    for target, one, other in zip(TARGETS, before, after, strict=True):
        assert essence(one) == essence(other), target
        assert (one.headers["connection"], other.headers["connection"]) == ("keep-alive", "close"), target
    assert server.process is not None
    assert server.process.poll() is None
    assert "rewrite or internal redirection cycle" not in server.output


def test_a_kept_connection_is_told_and_closed_after_the_answer(server: NginxServer) -> None:
    stay(server)
    kept = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=30)
    kept.request("GET", "/x.css")
    assert kept.getresponse().read() == b"static x.css"
    socket = kept.sock
    leave(server)
    kept.request("GET", "/x.css")
    assert kept.sock is socket, "the connection was kept until now"
    answer = kept.getresponse()
    assert (answer.read(), answer.will_close) == (b"static x.css", True)
    kept.close()


def test_upgrades_are_served_as_before(server: NginxServer) -> None:
    """Their URI reaches the application as the client wrote it: 502, since no core listens here for them."""
    leave(server)
    answer = asked(server, "/live/a%2Fb", Connection="upgrade", Upgrade="websocket")
    assert answer.status == 502
    assert f"{server.paths.request_http}:/live/a%2Fb" in server.output


def test_a_cut_connection_to_the_core_has_its_page_as_ever(server: NginxServer) -> None:
    """The error page of an application's location is the same after the detour."""
    stay(server)
    os.rename(server.paths.request, f"{server.paths.request}.away")  # noqa: PTH104
    try:
        before = asked(server, "/bare/x")
        leave_file = Path(server.paths.leaving)
        leave_file.touch(mode=0o644)
        wait_until(lambda: asked(server, "/x.css").headers["connection"] == "close", "clients are told")
        after = asked(server, "/bare/x")
    finally:
        os.rename(f"{server.paths.request}.away", server.paths.request)  # noqa: PTH104
    assert (before.status, before.body, before.headers["retry-after"]) == (
        after.status, after.body, after.headers["retry-after"],
    )  # fmt: skip
    assert before.status == 502
