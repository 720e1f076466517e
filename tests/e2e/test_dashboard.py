"""/dashboard in a real browser, against a real instance: what it shows is what `passenger status` says."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, Page, chromium
from tests.support.http import fetch
from tests.support.installation import Installation, hand_over
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

TOKEN = "a-token-for-the-dashboard"
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
FAILING = f"""
print({EVIL!r}, flush=True)
raise RuntimeError({EVIL!r})
"""
CARD = "document.querySelector('[data-app={}]')"


class Town:
    """An instance with an application that serves and one that does not start."""

    def __init__(self, place: Path) -> None:
        self.port, self.admin = free_port(), free_port()
        self.file = place / "passenger.toml"
        for name, code in (("blog", APP), ("wiki", FAILING)):
            (place / name).mkdir()
            (place / name / "passenger_wsgi.py").write_text(code)
            hand_over(place / name)
        (place / "token").write_text(TOKEN + "\n")
        (place / "token").chmod(0o600)
        self.write()

    def write(self, admin: str = 'actions = true\ntoken = { file = "token" }\n') -> None:
        self.file.write_text(
            f'config_version = 1\n[instances.main.nginx]\nlisten = ["127.0.0.1:{self.port}"]\n'
            f'[instances.main.admin]\nlisten = "127.0.0.1:{self.admin}"\n{admin}'
            '[defaults]\nmax_request_queue_size = 37\n[apps.blog]\napp_root = "blog"\nserver_names = ["blog.test"]\n'
            'min_instances = 2\nmax_instances = 3\n[apps.wiki]\napp_root = "wiki"\nserver_names = ["wiki.test"]\n'
        )

    @contextmanager
    def events(self) -> Iterator[http.client.HTTPResponse]:
        """An open stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        try:
            connection.request("GET", "/dashboard/events")
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def may_look(self) -> bool:
        """Whether there is room for one more."""
        with self.events() as stream:
            return stream.status == 200


@pytest.fixture
def town(installation: Installation, place: Path) -> Iterator[tuple[Town, RunningInstance]]:
    made = Town(place)
    with running(installation.passenger, made.file) as instance:
        instance.wait_started()
        yield made, instance


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def opened(browser: Browser, town: Town) -> Page:
    page = browser.page(f"http://127.0.0.1:{town.admin}/dashboard")
    page.wait_for(f"{CARD.format('blog')} && {CARD.format('wiki')} && true")
    return page


def shown(page: Page, app: str, name: str) -> str:
    text: str = page.value(f"{CARD.format(app)}.querySelector('[data-is={name}]').textContent")
    return text


def test_what_it_shows_is_what_status_says(town: tuple[Town, RunningInstance], browser: Browser) -> None:
    """Live: the page follows without being loaded again."""
    here, instance = town
    page = opened(browser, here)
    for _ in range(7):
        assert fetch(here.port, "/", host="blog.test").status == 200
    page.wait_for(f"{CARD.format('blog')}.querySelector('[data-is=requests]').textContent === '7'")
    status = instance.status()
    (blog,) = [group for group in status["pool"]["groups"] if group["name"] == "blog"]
    assert shown(page, "blog", "processes") == f"{len(blog['processes'])} of {blog['max_instances']}"
    assert shown(page, "blog", "queue") == str(blog["queue"])
    for name in ("requests", "spawns", "spawn_failures", "crashes"):
        assert shown(page, "blog", name) == str(blog["counters"][name])
    rows = page.value(
        f"[...{CARD.format('blog')}.querySelectorAll('tr[data-key]')].filter((row) => row.cells.length === 7)"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    told = {row[0]: (row[1], row[3], row[4]) for row in rows}
    assert told == {
        str(one["pid"]): (one["state"], str(one["processed"]), str(one["sessions"])) for one in blog["processes"]
    }
    assert page.value("document.getElementById('name').textContent") == status["name"]
    assert f"core PID {status['core_pid']}" in page.value("document.getElementById('about').textContent")
    assert page.value("document.querySelector('#summary [data-is=processes]').textContent") == (
        f"{status['pool']['processes']} of {status['pool']['max_pool_size']}"
    )
    # the plots have points, and words for who cannot see them
    page.wait_for(f"/^M/.test({CARD.format('blog')}.querySelector('svg path').getAttribute('d')) && true")
    assert "requests/s" in page.value(f"{CARD.format('blog')}.querySelector('svg').getAttribute('aria-label')")


def test_limits_name_their_origin(town: tuple[Town, RunningInstance], browser: Browser) -> None:
    """As `config show --origin` does, also after a reload."""
    here, instance = town
    page = opened(browser, here)
    origins = json.loads(
        instance.run("config", "show", "--config", str(here.file), "--origin", "--format", "json").stdout
    )

    def limit(app: str, key: str) -> Any:
        row = f"[...{CARD.format(app)}.querySelectorAll('tr[data-key={key}] td')]"
        return page.wait_for(f"{row}.length && {row}.map((cell) => cell.textContent)")

    for app, key in (("blog", "max_instances"), ("blog", "max_request_queue_size"), ("wiki", "max_instances")):
        told = origins.get(f"apps.{app}.{key}")
        name, value, origin = limit(app, key)
        assert name == key
        if told is not None:
            assert (value, origin) == (str(told["value"]), told["origin"])
        else:
            assert origin == "default"
    here.file.write_text("# a line more\n" + here.file.read_text().replace("size = 37", "size = 38"))
    assert instance.run("reload").returncode == 0
    page.wait_for(
        f"{CARD.format('blog')}.querySelector('tr[data-key=max_request_queue_size]').cells[1].textContent === '38'"
    )
    _, _, origin = limit("blog", "max_request_queue_size")
    assert origin == f"{here.file}:10:26"


def test_what_applications_say_is_text(town: tuple[Town, RunningInstance], browser: Browser) -> None:
    """Hostile words on stdout and in an exception; the journey is there, the output only with the token."""
    here, _ = town
    page = opened(browser, here)
    page.wait_for("document.querySelector('[data-failure] summary') && true")
    summary = page.value("document.querySelector('[data-failure] summary').textContent")
    assert "onerror=" in summary
    steps = page.value(
        "[...document.querySelector('[data-failure]').querySelectorAll('li')].map((li) => li.textContent)"
    )
    assert any(step.startswith("load the application: failed") for step in steps)
    assert "announce the socket: not started" in steps
    show = "document.querySelector('[data-failure] button')"
    page.value(f"{show}.click()")
    page.wait_for("/needs the token/.test(document.getElementById('said').textContent) && true")
    assert page.value("document.querySelector('pre')") is None
    page.value("document.getElementById('token').focus()")
    page.type(TOKEN)
    page.wait_for("/is used/.test(document.getElementById('said').textContent) && true")
    page.value(f"{show}.click()")
    assert "<script>document.title" in page.wait_for(
        "document.querySelector('pre') && document.querySelector('pre').textContent"
    )
    assert page.value("document.querySelectorAll('img, main script').length") == 0
    assert page.value("document.title") == "Passenger main"
    assert page.value("document.getElementById('token').value") == ""


def test_who_knows_the_token_restarts_with_the_keyboard(town: tuple[Town, RunningInstance], browser: Browser) -> None:
    """Without it there is no button; with it, focus and Enter do what `passenger restart-app` does."""
    here, instance = town
    page = opened(browser, here)
    button = f"{CARD.format('blog')}.querySelector('[data-verb=restart]')"
    assert page.value(f"{button}.checkVisibility()") is False
    page.value("document.getElementById('token').focus()")
    page.type(TOKEN)
    page.wait_for(f"{button}.checkVisibility()")
    page.value(f"{button}.focus()")
    assert page.value(f"document.activeElement === {button}")
    page.type("")
    page.wait_for("/done: restart blog/.test(document.getElementById('said').textContent) && true")
    instance.lines.wait_for("application restarted app=blog")
    assert page.value(f"document.activeElement === {button}"), "what is shown anew takes nobody's place"


def test_actions_and_token_can_be_taken_away_live(town: tuple[Town, RunningInstance]) -> None:
    here, instance = town
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    path = "/dashboard/act?verb=pause&app=blog"
    assert fetch(here.admin, path, method="POST", headers={"Authorization": "Bearer wrong"}).status == 401
    assert fetch(here.admin, path, headers=bearer).status == 405
    assert fetch(here.admin, path, method="POST", headers=bearer, body=b"x" * 70_000).status == 200
    (paused,) = [group["traffic"] for group in instance.status()["pool"]["groups"] if group["name"] == "blog"]
    assert paused["paused_at"] is not None
    resume = "/dashboard/act?verb=resume&app=blog"
    assert fetch(here.admin, resume, method="POST", headers=bearer).status == 200
    assert fetch(here.port, "/", host="blog.test").status == 200
    here.write("")
    assert instance.run("reload").returncode == 0
    assert fetch(here.admin, path, method="POST", headers=bearer).status == 403
    here.write("dashboard = false\n")
    assert instance.run("reload").returncode == 0
    assert fetch(here.admin, "/dashboard").status == 404
    assert fetch(here.admin, "/livez").status == 200


def test_the_token_is_nowhere_to_be_read(town: tuple[Town, RunningInstance]) -> None:
    """Neither in what is shown, nor in the instance's files for people, nor in the log."""
    here, instance = town
    for command in (
        ("config", "show"),
        ("config", "show", "--origin"),
        ("config", "diff"),
        ("status", "--format", "json"),
    ):
        assert TOKEN not in instance.run(*command).stdout, command
    here.write("")
    assert TOKEN not in instance.run("config", "diff").stdout
    shown = [path for path in instance.registry.rglob("*.json") if path.is_file()]
    assert [path.name for path in shown].count("config.json") == 1
    for path in shown:
        assert TOKEN not in path.read_text(), path
    assert TOKEN not in fetch(here.admin, "/dashboard").text
    assert TOKEN not in instance.lines.text()


def test_streams_end_with_the_instance_and_are_bounded(town: tuple[Town, RunningInstance]) -> None:
    """Sixteen look at once, no more; who leaves makes room and is no aborted request; nobody holds up the end."""
    here, instance = town
    with ExitStack() as open_streams:
        streams = [open_streams.enter_context(here.events()) for _ in range(15)]
        with here.events() as last:
            assert {stream.status for stream in (*streams, last)} == {200}
            assert not here.may_look()
            assert last.readline() == b"retry: 2000\n"
        wait_until(here.may_look, "room for another one")
        assert instance.status()["requests"]["aborted"] == 0
        assert instance.stop() == 0
        for stream in streams:
            assert b"event: state" in stream.read(), "a whole answer: its end is no error"
