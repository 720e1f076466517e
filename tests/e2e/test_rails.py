"""A generated Rails application in production, from a preloader and directly, through nginx."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.nodeapps import needed
from tests.support.running import RunningInstance, free_port, running
from tests.support.streams import check_stream
from tests.support.uploads import check_upload
from tests.support.visitor import Visitor

CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[defaults]
app_root = "{root}"
env = {{ SECRET_KEY_BASE = "for cookies", RAILS_LOG_TO_STDOUT = "1" }}
[apps.smart]
server_names = ["smart.test"]
nginx.response_buffering = false
min_instances = 2
[apps.direct]
server_names = ["direct.test"]
nginx.response_buffering = false
spawn_method = "direct"
thread_count = 3
"""


@pytest.fixture(scope="module")
def rails(installation: Installation, shared_place: Path) -> Iterator[tuple[RunningInstance, int]]:
    """One generated application, twice."""
    for program, package in (("rails", "ruby-rails ruby-sqlite3"), ("bundle", "bundler")):
        needed(program, package)
    root = projects.rails_site(shared_place)
    config, port = shared_place / "passenger.toml", free_port()
    config.write_text(CONFIG.format(port=port, root=root))
    with running(installation.passenger, config) as instance:
        instance.wait_started(timeout=120)
        yield instance, port


METHODS = pytest.mark.parametrize("name", ["smart", "direct"])


@METHODS
def test_form_with_session_and_csrf(rails: tuple[RunningInstance, int], name: str) -> None:
    """The scaffold's form: token and session cookie, a row in the database, a flash on the next page alone."""
    visitor = Visitor(rails[1], f"{name}.test")
    form = visitor.get("/notes/new")
    assert form.status == 200, form.text
    fields = {"authenticity_token": visitor.token(form, "authenticity_token"), "note[title]": f"milk from {name}"}
    created = visitor.post("/notes", fields)
    assert created.status == 302, created.text
    assert re.fullmatch(rf"http://{name}\.test/notes/\d+", created.headers["location"])
    page = visitor.get(created.headers["location"].partition(".test")[2])
    assert "Note was successfully created" in page.text
    assert f"milk from {name}" in page.text
    listed = visitor.get("/notes").text
    assert f"milk from {name}" in listed
    assert "successfully created" not in listed
    assert visitor.post("/notes", {"note[title]": "no token"}).status == 422
    assert "no token" not in visitor.get("/notes").text


@METHODS
def test_assets_come_from_nginx(rails: tuple[RunningInstance, int], name: str) -> None:
    """The fingerprinted style sheet that the page names, from `public`, with nginx's validators."""
    page = fetch(rails[1], "/notes", host=f"{name}.test").text
    link = re.search(r'href="(/assets/application-[0-9a-f]+\.css)"', page)
    assert link, page
    asset = fetch(rails[1], link[1], host=f"{name}.test")
    assert (asset.status, asset.headers["content-type"]) == (200, "text/css")
    assert "etag" in asset.headers
    assert "x-runtime" not in asset.headers


@METHODS
def test_live_stream_comes_piece_by_piece(rails: tuple[RunningInstance, int], name: str, place: Path) -> None:
    """`ActionController::Live`: the first half is here before the second one is made."""
    check_stream(rails[1], f"{name}.test", place)


@METHODS
def test_answer_that_broke_is_an_error_for_the_client(rails: tuple[RunningInstance, int], name: str) -> None:
    """A body that raises in its middle never looks complete."""
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        fetch(rails[1], "/cut", host=f"{name}.test")


@METHODS
def test_upload_of_100_mb(rails: tuple[RunningInstance, int], name: str) -> None:
    """Multipart, through Rack's parser and its temporary file."""
    check_upload(rails[1], f"{name}.test")


@METHODS
def test_application_knows_its_client(rails: tuple[RunningInstance, int], name: str) -> None:
    """Environment and URL are told; nobody believes what a client says of itself."""
    about = fetch(rails[1], "/about", host=f"{name}.test", headers={"X-Forwarded-Proto": "https"})
    seen = json.loads(about.text)
    assert (seen["env"], seen["ip"]) == ("production", "127.0.0.1")
    groups = {group["name"]: group for group in rails[0].status()["pool"]["groups"]}
    assert seen["pid"] in {process["pid"] for process in groups[name]["processes"]}
    assert bool(groups[name].get("preloader")) == (name == "smart")


def test_errors_are_answered_by_rails(rails: tuple[RunningInstance, int]) -> None:
    """A row that is not there is Rails' own page, not ours; the log names the request."""
    answer = fetch(rails[1], "/notes/4711", host="smart.test")
    assert answer.status == 404
    assert "The page you were looking for doesn't exist" in answer.text
    rails[0].lines.wait_for(r"ActiveRecord::RecordNotFound")
