"""nginx's cache through the whole product: what it keeps, when the application fails, and how it is emptied."""

from __future__ import annotations

import http.client
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.http import Answer, fetch
from tests.support.installation import Installation
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

CONFIG = """
config_version = 1
[instances.main]
nginx.listen = ["127.0.0.1:{port}"]
[defaults]
spawn_method = "direct"
max_instances = 1
[defaults.cache]
enabled = true
size = "1MiB"
bypass_cookies = ["session"]
[apps.news]
app_root = "news"
server_names = ["news.test"]
cache.stale = true
[apps.blog]
app_root = "news"
server_names = ["blog.test"]
cache.folder = "{place}/kept"
[apps.wiki]
app_root = "news"
server_names = ["wiki.test"]
cache.enabled = false
"""


@dataclass(frozen=True, slots=True)
class Site:
    instance: RunningInstance
    port: int
    place: Path

    def ask(self, path: str, host: str = "news.test", **headers: str) -> Answer:
        return fetch(self.port, path, host=host, headers={name.title(): value for name, value in headers.items()})

    def how(self, path: str, host: str = "news.test", **headers: str) -> str:
        answer = self.ask(path, host, **headers)
        assert answer.status == 200
        return answer.headers.get("x-cache", "")

    def purge(self, *arguments: str) -> str:
        done = self.instance.run("cache", "purge", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def folder(self) -> Path:
        return self.instance.registry / "main/nginx/cache_news"


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[Site]:
    port, config = free_port(), shared_place / "passenger.toml"
    projects.copy("news", shared_place)
    (shared_place / "kept").mkdir(mode=0o755)
    config.write_text(CONFIG.format(port=port, place=shared_place))
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        yield Site(instance, port, shared_place)


def test_pages_are_kept_for_everybody_but_those_who_are_somebody(site: Site) -> None:
    assert [site.how("/a") for _ in range(3)] == ["MISS", "HIT", "HIT"]
    assert site.ask("/a").text == site.ask("/a").text
    assert site.how("/a", cookie="session=1") == "BYPASS"
    assert site.how("/a", authorization="Basic eDp5") == "BYPASS"
    assert site.how("/a", cookie="theme=dark") == "HIT"
    assert [site.how("/a", "wiki.test") for _ in range(2)] == ["", ""]
    assert [site.how("/a", "blog.test") for _ in range(2)] == ["MISS", "HIT"]
    assert site.ask("/a", "blog.test").text.startswith("blog.test ")


def test_a_cut_response_is_an_error_each_time_and_never_kept(site: Site) -> None:
    for _ in range(3):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            site.ask("/cut")
    usage = json.loads(site.instance.run("cache", "status", "--format", "json").stdout)["caches"][0]
    site.purge("news", "--uri", "/cut")
    after = json.loads(site.instance.run("cache", "status", "--format", "json").stdout)["caches"][0]
    assert usage == after


def test_a_purge_counts_at_once(site: Site) -> None:
    uris = ("/p", "/p?60", "/p/q", "/pq")
    for uri in uris:
        assert [site.how(uri), site.how(uri)] == ["MISS", "HIT"]
    assert site.purge("news", "--uri", "/p") == "removed 1 entry of news\n"
    assert [site.how(uri) for uri in uris] == ["MISS", "HIT", "HIT", "HIT"]
    assert site.purge("news", "--uri", "/p*") == "removed 4 entries of news\n"
    assert [site.how(uri) for uri in uris] == ["MISS"] * 4
    site.ask("/other", "blog.test")
    site.purge("news")
    assert [site.how(uri) for uri in uris] == ["MISS"] * 4
    assert site.how("/other", "blog.test") == "HIT"


def test_status_says_where_and_how_full(site: Site) -> None:
    site.ask("/s", "blog.test")
    found = json.loads(site.instance.run("cache", "status", "--format", "json").stdout)["caches"]
    assert [(one["app"], one["folder"], one["limit"]) for one in found] == [
        ("news", str(site.folder()), 1 << 20),
        ("blog", f"{site.place}/kept/main.blog", 1 << 20),
    ]
    assert found[1]["entries"] >= 1
    assert 0 < found[1]["bytes"] <= 1 << 20
    assert "blog: " in site.instance.run("cache", "status").stdout


def test_entries_are_nginxs_alone(site: Site) -> None:
    site.ask("/mine")
    for folder in (site.folder(), site.place / "kept/main.blog"):
        facts = folder.stat()
        assert stat.S_IMODE(facts.st_mode) == 0o700
        if os.geteuid() == 0:
            assert facts.st_uid != 0


@pytest.mark.parametrize(
    ("arguments", "said"), [(("nobody",), "has no application 'nobody'"), (("wiki",), "wiki has no cache")]
)
def test_what_has_no_cache_cannot_be_purged(site: Site, arguments: tuple[str, ...], said: str) -> None:
    done = site.instance.run("cache", "purge", *arguments)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_cache_comes_and_goes_with_a_reload(site: Site) -> None:
    config = site.instance.config
    before = config.read_text()
    config.write_text(before.replace("cache.enabled = false", "cache.max_age = '60s'"))
    assert site.instance.run("reload").returncode == 0
    wait_until(lambda: site.how("/r", "wiki.test") == "HIT", "the new nginx workers answer")
    config.write_text(before)
    assert site.instance.run("reload").returncode == 0
    wait_until(lambda: site.how("/r", "wiki.test") == "", "the old ones answer again")
    assert site.how("/a") in {"HIT", "MISS"}


def test_old_pages_are_better_than_none(site: Site) -> None:
    """The last test: the application is broken in it. Only who asked for it gets what is too old."""
    for host in ("news.test", "blog.test"):
        assert site.how("/old?1", host) == "MISS"
    root = site.place / "news"
    (root / "passenger_wsgi.py").write_text("raise SystemExit('broken')\n")
    for group in site.instance.status()["pool"]["groups"]:
        for process in group["processes"]:
            os.kill(process["pid"], 9)
    wait_until(lambda: site.ask("/new").status >= 500, "the application is down")
    wait_until(lambda: site.ask("/old?1", "blog.test").status >= 500, "too old")
    kept = site.ask("/old?1")
    assert (kept.status, kept.headers["x-cache"]) in {(200, "STALE"), (200, "UPDATING")}
    assert kept.text.startswith("news.test ")
