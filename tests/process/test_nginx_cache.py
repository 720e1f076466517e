"""nginx's cache as we render it: what is kept and what never is, whose entries are whose."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from passenger.config.app_cache import AppCache
from passenger.config.instance import Instance, Listener, Nginx
from passenger.config.model import App, InstanceConfig
from tests.support.http import Answer, fetch
from tests.support.nginx_server import NginxServer, binary_paths, nginx_server
from tests.support.probe import wait_until
from tests.support.raw import exchange
from tests.support.scgi_backend import ScgiBackend, ScgiRequest

CACHE = AppCache(enabled=True, bypass_cookies=("session", "wp-login_*"))
APP = App(app_root="/nowhere", cache=CACHE)
APPS = {
    "blog": replace(APP, server_names=("blog.test", "www.blog.test")),
    "wiki": replace(APP, server_names=("blog.test",), base_uri="/wiki"),
    "lax": replace(APP, server_names=("lax.test",), cache=replace(CACHE, max_age=60.0, stale=True)),
    "twice": replace(APP, server_names=("twice.test",), cache=replace(CACHE, min_uses=2)),
    "shy": replace(APP, server_names=("shy.test",), cache=AppCache(enabled=True)),
    "plain": replace(APP, server_names=("plain.test",), cache=AppCache()),
}


def configuration(addresses: list[str], apps: dict[str, App]) -> InstanceConfig:
    listen = tuple(Listener(address=text) for text in addresses)
    return InstanceConfig(name="main", instance=Instance(nginx=Nginx(listen=listen)), apps=apps)


@pytest.fixture(params=binary_paths(), ids=["wheel", "host"][: len(binary_paths())])
def server(request: pytest.FixtureRequest) -> Iterator[NginxServer]:
    with nginx_server(request.param, lambda _, addresses: configuration(addresses, APPS)) as running:
        yield running


class Site:
    """nginx and a backend whose response head a test chooses; each response counts, so that a kept one is known."""

    def __init__(self, server: NginxServer) -> None:
        self.server = server
        self.head = "Cache-Control: max-age=60\r\n"
        self.count = 0
        self.broken: bytes | None = b""
        """What comes instead of a response; None = a reset."""
        self.tells_length = True
        self.port: int = server.listeners[0].getsockname()[1]

    def answer(self, request: ScgiRequest) -> bytes | None:
        self.count += 1
        if self.broken != b"":
            return self.broken
        body = json.dumps({"count": self.count, "app": request["PASSENGER_APP"], "names": request.names}).encode()
        length = f"Content-Length: {len(body)}\r\n" if self.tells_length else ""
        head = f"Status: 200 OK\r\n{length}X-Cache: LIE\r\n{self.head}\r\n".encode()
        return head if request["REQUEST_METHOD"] == "HEAD" else head + body

    def ask(self, path: str = "/", *, host: str = "blog.test", method: str = "GET", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return fetch(self.port, path, host=host, method=method, headers=given)

    def said(self, *arguments: Any, **options: Any) -> tuple[str, int]:
        """How the response came (`X-Cache`), and its number."""
        answer = self.ask(*arguments, **options)
        assert answer.status == 200
        return answer.headers.get("x-cache", ""), json.loads(answer.text)["count"]


@pytest.fixture
def site(server: NginxServer) -> Iterator[Site]:
    made = Site(server)
    with ScgiBackend(server.paths.request, answer=made.answer):
        yield made


def test_a_response_that_may_be_kept_is(site: Site) -> None:
    assert site.said() == ("MISS", 1)
    assert site.said() == ("HIT", 1)
    assert site.said("/?q=1") == ("MISS", 2)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "Cache-Control: private, max-age=60\r\n",
        "Cache-Control: no-store\r\n",
        "Cache-Control: no-cache\r\n",
        "Cache-Control: max-age=0\r\n",
        "Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n",
        "Cache-Control: max-age=60\r\nVary: *\r\n",
        "Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\n",
    ],
)
def test_a_response_that_may_not_be_kept_is_not(site: Site, head: str) -> None:
    site.head = head
    assert [site.said() for _ in range(3)] == [("MISS", 1), ("MISS", 2), ("MISS", 3)]


def test_a_time_of_our_own_for_those_that_say_nothing(site: Site) -> None:
    site.head = ""
    assert site.said(host="lax.test") == ("MISS", 1)
    assert site.said(host="lax.test") == ("HIT", 1)
    site.head = "Cache-Control: private\r\n"
    assert [site.said("/private", host="lax.test")[0] for _ in range(2)] == ["MISS", "MISS"]


def test_what_is_somebodys_own_neither_comes_from_the_cache_nor_goes_there(site: Site) -> None:
    owned: list[dict[str, str]] = [
        {"Authorization": "Basic eDp5"},
        {"Cookie": "session=1"},
        {"Cookie": "a=b; session=1"},
        {"Cookie": "wp-login_abc=1"},
        {"Cookie": "x=1;session="},
    ]
    for number, headers in enumerate(owned, 1):
        assert site.said("/own", **headers) == ("BYPASS", number)
    assert site.said("/own") == ("MISS", 6)
    for number, headers in enumerate(owned, 7):
        assert site.said("/own", **headers) == ("BYPASS", number)
    for cookie in ("a=b", "my_session=1", "Session=1", "x=session=1", "sessions=1", "wp-login=1"):
        assert site.said("/own", Cookie=cookie) == ("HIT", 6), cookie


def test_any_cookie_keeps_a_request_away_unless_told_otherwise(site: Site) -> None:
    assert site.said(host="shy.test", Cookie="_ga=1") == ("BYPASS", 1)
    assert site.said(host="shy.test") == ("MISS", 2)
    assert site.said(host="shy.test", Cookie="_ga=1") == ("BYPASS", 3)
    assert site.said(host="shy.test") == ("HIT", 2)


def test_vary_is_honoured(site: Site) -> None:
    site.head += "Vary: Accept-Language\r\n"
    assert site.said(Accept_Language="de") == ("MISS", 1)
    assert site.said(Accept_Language="fr") == ("MISS", 2)
    assert site.said(Accept_Language="de") == ("HIT", 1)
    assert site.said(Accept_Language="fr") == ("HIT", 2)


def test_what_the_application_may_have_put_into_a_response_is_in_its_key(site: Site) -> None:
    """The host as the client wrote it: an application makes links of it, which must not reach anybody else."""
    assert site.said("/a") == ("MISS", 1)
    assert site.said("/a", host="blog.test:666") == ("MISS", 2)
    assert site.said("/a", host="www.blog.test") == ("MISS", 3)
    assert site.said("/a?") == ("MISS", 4)
    assert site.said("/%61") == ("MISS", 5)
    assert site.said("/a", host="blog.test") == ("HIT", 1)


def test_applications_never_see_each_others_entries(site: Site) -> None:
    for host, path, app in (("blog.test", "/wiki/x", "wiki"), ("blog.test", "/x", "blog"), ("lax.test", "/x", "lax")):
        for _ in range(2):
            assert json.loads(site.ask(path, host=host).text)["app"] == app
    folders = {path.name for path in (site.server.root / "nginx").glob("cache_*")}
    assert folders == {f"cache_{name}" for name in APPS if name != "plain"}


def test_without_a_cache_nothing_of_it_is_there(site: Site) -> None:
    assert site.said(host="plain.test") == ("LIE", 1)
    assert site.said(host="plain.test") == ("LIE", 2)


def test_the_first_requests_may_be_too_few(site: Site) -> None:
    assert [site.said(host="twice.test") for _ in range(3)] == [("MISS", 1), ("MISS", 2), ("HIT", 2)]


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_response_to_head_is_never_that_to_get(site: Site, tells_length: bool) -> None:  # noqa: FBT001
    """The core's answer to HEAD has no body. nginx keeps one of a known length not at all."""
    site.tells_length = tells_length
    asked = "%s /h HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n"
    # read to the end of the connection: the head of a response comes before nginx has kept what belongs to it
    answers = [exchange(site.port, (asked % method).encode()) for method in ("HEAD", "HEAD", "GET", "GET", "HEAD")]
    own = b"MISS" if tells_length else b"HIT"
    found = [re.search(rb"(?i)x-cache: (\w+)", answer) for answer in answers]
    assert [one and one[1] for one in found] == [b"MISS", own, b"MISS", b"HIT", own]
    assert [bool(answer.partition(b"\r\n\r\n")[2]) for answer in answers] == [False, False, True, True, False]
    assert "prematurely" not in site.server.output


def test_other_methods_pass(site: Site) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert [site.said("/m", method=method)[0] for _ in range(2)] == ["", ""]


def test_parts_and_conditions_are_answered_from_the_cache(site: Site) -> None:
    """The application gets neither `Range` nor `If-None-Match`: its answer has to be of use to everybody."""
    site.head += 'Accept-Ranges: bytes\r\nETag: "one"\r\n'
    whole = site.ask("/r", Range="bytes=0-3", If_None_Match='"other"')
    part = site.ask("/r", Range="bytes=1-3")
    same = site.ask("/r", If_None_Match='"one"')
    assert (whole.status, part.status, same.status) == (206, 206, 304)
    assert part.headers["x-cache"] == "HIT"
    full = site.ask("/r")
    assert part.body == full.body[1:4]
    assert not {"HTTP_RANGE", "HTTP_IF_NONE_MATCH"} & set(json.loads(full.text)["names"])
    assert site.count == 1


def test_a_cut_response_is_never_kept(server: NginxServer) -> None:
    site = Site(server)
    head = "Status: 200 OK\r\nCache-Control: max-age=60\r\n"
    for path, broken in (("/open", head + "\r\nhalf"), ("/short", head + "Content-Length: 900\r\n\r\nhalf")):
        with ScgiBackend(server.paths.request, answer=site.answer, leave_a_byte=True):
            site.broken = broken.encode()
            for _ in range(2):
                with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                    fetch(site.port, path, host="lax.test", method="GET", body=b"xy")
            site.broken = b""
        with ScgiBackend(server.paths.request, answer=site.answer):
            assert site.said(path, host="lax.test")[0] == "MISS"
            assert site.said(path, host="lax.test")[0] == "HIT"


BROKEN = (
    None,
    b"\0",
    b"Status: 503 Busy\r\nContent-Length: 2\r\n\r\nno",
    b"Status: 500 Oh\r\nContent-Length: 0\r\n\r\n",
)


def test_what_is_too_old_helps_while_the_application_fails(site: Site) -> None:
    """Only where it is wished for. Old by the second, which is the finest that `max-age` knows."""
    site.head = "Cache-Control: max-age=1\r\n"
    for host in ("lax.test", "blog.test"):
        for number, _ in enumerate(BROKEN):
            assert site.said(f"/{number}", host=host)[0] == "MISS"
    wait_until(lambda: site.said(f"/{len(BROKEN) - 1}", host="blog.test")[0] == "EXPIRED", "too old")
    for number, broken in enumerate(BROKEN):
        site.broken = broken
        answer = site.ask(f"/{number}", host="lax.test")
        assert (answer.status, answer.headers["x-cache"]) in {(200, "STALE"), (200, "UPDATING")}
        if number < len(BROKEN) - 1:
            assert site.ask(f"/{number}", host="blog.test").status in {500, 502, 503}


def test_what_is_old_and_unchanged_is_not_sent_again(site: Site) -> None:
    site.head = 'Cache-Control: max-age=1\r\nETag: "one"\r\n'
    assert site.said("/v")[0] == "MISS"
    site.broken = b'Status: 304 Not Modified\r\nCache-Control: max-age=1\r\nETag: "one"\r\n\r\n'
    wait_until(lambda: site.said("/v") == ("REVALIDATED", 1), "asked again")


def test_buffering_of_requests_does_not_matter(site: Site) -> None:
    """A body that is longer than any buffer passes beside the cache."""
    answer = fetch(site.port, "/up", host="blog.test", method="POST", body=b"x" * 300_000)
    assert answer.status == 200


def entries(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_cache_stays_below_its_size() -> None:
    """nginx's own manager looks every ten seconds at the latest."""
    big = b"x" * 200_000
    small = {"blog": replace(APP, cache=replace(CACHE, size=1 << 20))}

    def answer(_: ScgiRequest) -> bytes:
        return b"Status: 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n" % len(big) + big

    with nginx_server(binary_paths()[0], lambda _, addresses: configuration(addresses, small)) as server:
        folder, port = server.root / "nginx/cache_blog", server.listeners[0].getsockname()[1]
        with ScgiBackend(server.paths.request, answer=answer):
            for number in range(20):
                assert fetch(port, f"/{number}").status == 200
            wait_until(lambda: 0 < entries(folder) <= 1 << 20, "the manager has made room")
