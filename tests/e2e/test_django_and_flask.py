"""A real Django project and a real Flask application side by side from one file, through nginx."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support import projects
from tests.support.http import Answer, fetch
from tests.support.installation import Installation
from tests.support.running import RunningInstance, free_port, running

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def both(installation: Installation, shared_place: Path) -> Iterator[tuple[RunningInstance, int]]:
    """One instance with both applications on two server names."""
    folder = shared_place
    django = projects.django_site(installation.python, folder)
    flask, port = projects.copy("flask_app", folder), free_port()
    (folder / "secret").write_text("django secret from a file\n")
    config = folder / "passenger.toml"
    config.write_text(
        f"""
config_version = 1
[instances.main.nginx]
listen = ["127.0.0.1:{port}"]
[defaults]
python = "{installation.python}"
[apps.site]
app_root = "{django}"
entry_point = "site_config.wsgi:application"
server_names = ["django.test"]
env.SECRET_KEY = {{ file = "secret" }}
[apps.shop]
app_root = "{flask}"
server_names = ["flask.test"]
env = {{ FLASK_SECRET = "flask secret", VALIDATE = "1" }}
"""
    )
    with running(installation.passenger, config) as instance:
        yield instance, port


def test_each_name_gets_its_application(both: tuple[RunningInstance, int]) -> None:
    """The Host header decides."""
    _, port = both
    assert fetch(port, host="django.test").text == "django 0 notes"
    assert fetch(port, host="flask.test").text.startswith("flask ")


def test_unknown_name_is_not_found(both: tuple[RunningInstance, int]) -> None:
    """No application claims the name, none is the default."""
    _, port = both
    assert fetch(port, host="other.test").status == 404


def test_static_files_come_from_nginx(both: tuple[RunningInstance, int]) -> None:
    """Collected static files of the admin, with nginx's validators."""
    _, port = both
    answer = fetch(port, "/static/admin/css/base.css", host="django.test")
    assert answer.status == 200
    assert "etag" in answer.headers
    assert answer.headers["content-type"].startswith("text/css")


def cookies_of(answer: Answer, known: dict[str, str]) -> dict[str, str]:
    """The cookie jar after an answer."""
    for line in answer.set_cookies:
        for name, morsel in SimpleCookie(line).items():
            known[name] = morsel.value
    return known


def test_login_to_the_admin_with_session_and_csrf(both: tuple[RunningInstance, int]) -> None:
    """The whole dance: form, token, two cookies, redirect, page for the administrator only."""
    _, port = both
    form = fetch(port, "/admin/login/?next=/admin/", host="django.test")
    assert form.status == 200
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)
    assert token
    jar = cookies_of(form, {})
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    data = {
        "csrfmiddlewaretoken": token[1],
        "username": projects.ADMIN,
        "password": projects.PASSWORD,
        "next": "/admin/",
    }
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    answer = fetch(
        port, "/admin/login/", method="POST", host="django.test", body=urlencode(data).encode(), headers=headers
    )
    assert (answer.status, answer.headers["location"]) == (302, "/admin/")
    jar = cookies_of(answer, jar)
    page = fetch(port, "/admin/", host="django.test", headers={"Cookie": "; ".join(f"{n}={v}" for n, v in jar.items())})
    assert page.status == 200
    assert "Site administration" in page.text
    assert fetch(port, "/admin/", host="django.test").status == 302
    without_token = fetch(port, "/admin/login/", method="POST", host="django.test", body=b"username=x", headers=headers)
    assert without_token.status == 403


def test_upload_of_100_mb(both: tuple[RunningInstance, int]) -> None:
    """A multipart upload arrives byte for byte."""
    _, port = both
    block = bytes(range(256)) * 4096
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
    tail = b"\r\n--xx--\r\n"
    sha = hashlib.sha256()
    for _ in range(100):
        sha.update(block)

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(100):
            yield block
        yield tail

    length = len(head) + 100 * MIB + len(tail)
    headers = {"Content-Type": "multipart/form-data; boundary=xx", "Content-Length": str(length)}
    answer = fetch(port, "/upload", method="POST", host="django.test", body=body(), headers=headers, timeout=90)
    assert answer.status == 200, answer.text
    assert json.loads(answer.text) == {"sha256": sha.hexdigest(), "size": 100 * MIB}


def test_flask_session_and_stream(both: tuple[RunningInstance, int]) -> None:
    """Signed cookies survive, streams arrive whole."""
    _, port = both
    first = fetch(port, "/count", method="POST", host="flask.test")
    jar = cookies_of(first, {})
    second = fetch(port, "/count", method="POST", host="flask.test", headers={"Cookie": f"session={jar['session']}"})
    assert (json.loads(first.text), json.loads(second.text)) == ({"n": 1}, {"n": 2})
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
