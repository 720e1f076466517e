"""A real Django project, by WSGI and by ASGI, and a real Flask application side by side from one file, through nginx."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.admin_login import check_admin_login
from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.running import RunningInstance, free_port, running
from tests.support.streams import check_stream
from tests.support.uploads import check_upload
from tests.support.visitor import Visitor

CONFIG = """
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[defaults]
python = "{python}"
[apps.site]
app_root = "django_site"
entry_point = "site_config.wsgi:application"
server_names = ["django.test"]
env.SECRET_KEY = {{ file = "secret" }}
[apps.async]
app_root = "django_site"
entry_point = "site_config.asgi:application"
server_names = ["async.test"]
nginx.response_buffering = false
env.SECRET_KEY = {{ file = "secret" }}
[apps.direct]
app_root = "django_site"
entry_point = "site_config.asgi:application"
app_type = "asgi"
spawn_method = "direct"
server_names = ["direct.test"]
nginx.response_buffering = false
env.SECRET_KEY = {{ file = "secret" }}
[apps.shop]
app_root = "flask_app"
server_names = ["flask.test"]
env.FLASK_SECRET = "flask secret"
"""
DJANGO = pytest.mark.parametrize("host", ["django.test", "async.test", "direct.test"])
ASGI = pytest.mark.parametrize("host", ["async.test", "direct.test"])


@pytest.fixture(scope="module")
def both(installation: Installation, shared_place: Path) -> Iterator[tuple[RunningInstance, int]]:
    """One instance with both applications; the Django project has three server names."""
    projects.django_site(installation.python, shared_place)
    projects.copy("flask_app", shared_place)
    (shared_place / "secret").write_text("django secret from a file\n")
    config, port = shared_place / "passenger.toml", free_port()
    config.write_text(CONFIG.format(port=port, python=installation.python))
    with running(installation.passenger, config) as instance:
        yield instance, port


@DJANGO
def test_each_name_gets_its_application(both: tuple[RunningInstance, int], host: str) -> None:
    """The Host header decides."""
    _, port = both
    assert fetch(port, host=host).text == "django 0 notes"
    assert fetch(port, host="flask.test").text.startswith("flask ")


def test_unknown_name_is_not_found(both: tuple[RunningInstance, int]) -> None:
    """No application claims the name, none is the default."""
    _, port = both
    assert fetch(port, host="other.test").status == 404


@DJANGO
def test_static_files_come_from_nginx(both: tuple[RunningInstance, int], host: str) -> None:
    """Collected static files of the admin, with nginx's validators."""
    _, port = both
    answer = fetch(port, "/static/admin/css/base.css", host=host)
    assert answer.status == 200
    assert "etag" in answer.headers
    assert answer.headers["content-type"].startswith("text/css")


@DJANGO
def test_login_to_the_admin_with_session_and_csrf(both: tuple[RunningInstance, int], host: str) -> None:
    """The whole dance: form, token, two cookies, redirect, page for the administrator only."""
    check_admin_login(both[1], host)


@DJANGO
def test_upload_of_100_mb(both: tuple[RunningInstance, int], host: str) -> None:
    """A multipart upload arrives byte for byte."""
    check_upload(both[1], host)


@ASGI
def test_django_streams_by_asgi(both: tuple[RunningInstance, int], host: str, place: Path) -> None:
    """An asynchronous view's first half is here before the second one is made."""
    check_stream(both[1], host, place)


@ASGI
def test_django_by_asgi_knows_its_client(both: tuple[RunningInstance, int], host: str) -> None:
    """An asynchronous view asks the database; nobody believes what a client says of itself."""
    spoofed = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}
    seen = json.loads(fetch(both[1], "/about", host=host, headers=spoofed).text)
    assert seen == {"notes": 0, "scheme": "http", "client": "127.0.0.1"}
    groups = {group["name"]: group for group in both[0].status()["pool"]["groups"]}
    assert bool(groups["async"].get("preloader")) != bool(groups["direct"].get("preloader"))


def test_flask_session_and_stream(both: tuple[RunningInstance, int]) -> None:
    """Signed cookies survive, streams arrive whole."""
    _, port = both
    visitor = Visitor(port, "flask.test")
    assert [json.loads(visitor.post("/count", {}).text) for _ in range(2)] == [{"n": 1}, {"n": 2}]
    assert fetch(port, "/stream", host="flask.test").text == "".join(f"line {n}\n" for n in range(100))


def test_cut_answer_is_an_error_for_the_client(both: tuple[RunningInstance, int]) -> None:
    """A5: a stream that the application breaks off never looks complete."""
    _, port = both
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        fetch(port, "/cut", host="flask.test")


def test_head_has_the_headers_only(both: tuple[RunningInstance, int]) -> None:
    """HEAD is GET without the body."""
    _, port = both
    answer = fetch(port, "/", method="HEAD", host="flask.test")
    assert (answer.status, answer.body) == (200, b"")


def test_client_cannot_reach_the_environment(both: tuple[RunningInstance, int]) -> None:
    """F1, F2, F9: spoofed headers do not become CGI variables; control parameters stay with us."""
    _, port = both
    headers = {"Proxy": "http://evil", "X_Remote_User": "root", "X-Ok": "yes", "Remote-Addr": "6.6.6.6"}
    seen = json.loads(fetch(port, "/environ?a=b%20c", host="flask.test", headers=headers).text)
    assert "HTTP_PROXY" not in seen
    assert "HTTP_X_REMOTE_USER" not in seen
    assert not [name for name in seen if name.startswith("PASSENGER")]
    assert seen["HTTP_X_OK"] == "yes"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert (seen["PATH_INFO"], seen["SCRIPT_NAME"], seen["QUERY_STRING"]) == ("/environ", "", "a=b%20c")


def test_application_environment_holds_no_secret_of_ours(both: tuple[RunningInstance, int]) -> None:
    """B7: no connect secret, no variable of the other application."""
    instance, port = both
    seen = json.loads(fetch(port, "/osenviron", host="flask.test").text)
    assert seen["FLASK_SECRET"] == "flask secret"
    assert "SECRET_KEY" not in seen
    assert seen["PASSENGER_APP_ENV"] == seen["WSGI_ENV"] == "production"
    assert not [name for name in seen if name.startswith("PASSENGER_") and name.endswith("_FD")]
    shown = instance.run("config", "show", "--config", str(instance.config))
    assert shown.returncode == 0, shown.stderr
    assert "django secret from a file" not in shown.stdout


def test_status_shows_both(both: tuple[RunningInstance, int]) -> None:
    """`passenger status` names both applications and their processes."""
    instance, port = both
    fetch(port, host="flask.test")
    text = instance.run("status").stdout
    assert "site" in text
    assert "shop" in text
    assert "PID" in text
