"""Eight applications of five kinds from one file, on eight server names, through nginx: each answers as its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.http import Answer, fetch
from tests.support.installation import Installation, hand_over
from tests.support.nodeapps import installed, needed
from tests.support.running import RunningInstance, free_port, running

NAMES = ("django", "flask", "fastapi", "chat", "sinatra", "express", "nodechat", "shell")
CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[instances.main.core]
max_pool_size = 16
[defaults]
python = "{python}"
thread_count = 2

[apps.django]
app_root = "django_site"
entry_point = "site_config.wsgi:application"
server_names = ["django.test"]
env_files = ["django.env"]

[apps.flask]
app_root = "flask_app"
server_names = ["flask.test"]
env.FLASK_SECRET = "flask secret"

[apps.fastapi]
app_root = "fastapi_app"
server_names = ["fastapi.test"]

[apps.chat]
app_root = "starlette_ws"
server_names = ["chat.test"]
force_max_concurrent_requests_per_process = 20

[apps.sinatra]
app_root = "sinatra_app"
server_names = ["sinatra.test"]

[apps.express]
app_root = "express_app"
server_names = ["express.test"]
env_files = ["express.env"]
inherit.deny = ["EIGHT_*"]

[apps.nodechat]
app_root = "node_ws"
server_names = ["nodechat.test"]

[apps.shell]
app_root = "generic_shell"
app_start_command = "./start.sh"
server_names = ["shell.test"]
env.GREETING = "hello from"
"""


@pytest.fixture(scope="module")
def eight(
    installation: Installation, shared_place: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[RunningInstance, int]]:
    """All of them, started."""
    for program, package in (("ruby", "ruby ruby-rack ruby-sinatra bundler"), ("node", "nodejs"), ("perl", "perl")):
        needed(program, package)
    assert request.config.cache is not None
    for name in ("express_app", "node_ws"):
        shutil.copytree(installed(name, request.config.cache), shared_place / name)
        hand_over(shared_place / name)
    for name in ("flask_app", "fastapi_app", "starlette_ws", "sinatra_app", "generic_shell"):
        projects.copy(name, shared_place)
    projects.django_site(installation.python, shared_place)
    (shared_place / "django.env").write_text("SECRET_KEY='django secret from an env file'\n")
    (shared_place / "express.env").write_text("export GREETING=good day  # to everybody\n")
    config, port = shared_place / "passenger.toml", free_port()
    config.write_text(CONFIG.format(port=port, python=installation.python))
    with running(installation.passenger, config) as instance:
        instance.wait_started(timeout=90)
        yield instance, port


def get(port: int, name: str, path: str = "/") -> Answer:
    return fetch(port, path, host=f"{name}.test")


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        ("django", "/", "django 0 notes"),
        ("flask", "/", "flask "),
        ("fastapi", "/", '"url":"http://fastapi.test/"'),
        ("fastapi", "/events", "data: 2\n\n"),
        ("chat", "/", "ws://chat.test/chat"),
        ("sinatra", "/", "<title>Notes</title>"),
        ("sinatra", "/count", "0\n1\n2\n"),
        ("express", "/", "hello from Express"),
        ("express", "/env", '"greeting":"good day"'),
        ("express", "/events", "data: 3\n\n"),
        ("nodechat", "/", "WebSocket"),
        ("shell", "/some/where?a=b", "hello from GET /some/where?a=b"),
    ],
)
def test_each_answers_as_its_own(eight: tuple[RunningInstance, int], name: str, path: str, text: str) -> None:
    """The right application, in the right language, by its server name."""
    answer = get(eight[1], name, path)
    assert (answer.status, text in answer.text) == (200, True), answer.text


def test_all_at_once(eight: tuple[RunningInstance, int]) -> None:
    """Many requests to all of them at the same time: none fails, none gets the answer of another."""
    _, port = eight
    first = {name: get(port, name).text for name in NAMES}

    def ask(number: int) -> bool:
        name = NAMES[number % len(NAMES)]
        answer = get(port, name)
        return answer.status == 200 and (name == "flask" or answer.text == first[name])

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(20 * len(NAMES))))


def test_bodies_arrive(eight: tuple[RunningInstance, int]) -> None:
    """JSON to Express and FastAPI, a form to Sinatra, bytes to the shell-started server."""
    _, port = eight
    as_json = {"Content-Type": "application/json"}
    echo = fetch(port, "/echo", method="POST", host="express.test", body=b'{"a": [1]}', headers=as_json)
    assert json.loads(echo.text) == {"echo": {"a": [1]}}
    note = fetch(port, "/notes", method="POST", host="fastapi.test", body=b'{"title": "milk"}', headers=as_json)
    assert (note.status, json.loads(note.text)["title"]) == (201, "milk")
    wrong = fetch(port, "/notes", method="POST", host="fastapi.test", body=b'{"title": ""}', headers=as_json)
    assert wrong.status == 422
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    added = fetch(port, "/notes", method="POST", host="sinatra.test", body=b"text=eggs", headers=form)
    assert (added.status, added.headers["location"]) == (303, "http://sinatra.test/")
    body = bytes(range(256)) * 4096
    assert fetch(port, "/", method="POST", host="shell.test", body=body).body == body


def test_applications_know_their_client(eight: tuple[RunningInstance, int]) -> None:
    """By what the core says, not by what the client does."""
    _, port = eight
    spoofed = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}
    seen = json.loads(fetch(port, host="fastapi.test", headers=spoofed).text)
    assert (seen["client"], seen["url"]) == ("127.0.0.1", "http://fastapi.test/")
    who = json.loads(fetch(port, "/who", host="express.test", headers=spoofed).text)
    assert (who["ip"], who["protocol"], who["host"]) == ("127.0.0.1", "http", "express.test")


def test_status_shows_all(eight: tuple[RunningInstance, int]) -> None:
    """Each has its process; preloaders where there are some; what was configured is what is announced."""
    instance, port = eight
    for name in NAMES:
        get(port, name)
    text = instance.run("status").stdout
    assert all(f"{name}" in text for name in NAMES)
    groups = {group["name"]: group for group in instance.status()["pool"]["groups"]}
    assert set(groups) == set(NAMES)
    assert all(group["processes"] for group in groups.values())
    limits = {name: max(process["concurrency"] for process in group["processes"]) for name, group in groups.items()}
    threads, endless = ("django", "flask", "sinatra"), ("fastapi", "express", "nodechat", "shell")
    assert limits == dict.fromkeys(threads, 2) | dict.fromkeys(endless, 0) | {"chat": 20}
    preloaded = {name for name, group in groups.items() if group.get("preloader")}
    assert preloaded == {"django", "flask", "fastapi", "chat", "sinatra"}


def test_env_is_explained_for_each_language(eight: tuple[RunningInstance, int]) -> None:
    """The same story for all; what a file says stays hidden."""
    instance, _ = eight
    done = instance.run("env", "--app", "express", "--explain", "--format", "json", "--config", str(instance.config))
    variables = json.loads(done.stdout)
    where = f"{instance.config.parent}/express.env:1"
    assert variables["GREETING"] == {"value": "<secret>", "origin": "env file", "where": where}
    assert variables["NODE_ENV"]["value"] == "production"
    assert "good day" not in done.stdout
