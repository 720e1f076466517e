"""The second web server: Debian's Apache in front of the product, as docs/apache.md has it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import projects
from tests.support.apache import apache
from tests.support.http import Answer, fetch
from tests.support.installation import Installation, hand_over
from tests.support.load import load, wait_until_count
from tests.support.probe import open_gate, wait_until
from tests.support.running import DEADLINE, Lines, RunningInstance, free_port, running
from tests.support.websocket_client import WebSocket

BLOCK = bytes(range(256)) * 4096
UPLOAD_MIB = 100

CONFIG = """
config_version = 1
[instances.main]
web_server = "apache"
admin.listen = "127.0.0.1:{admin}"
admin.token = "only-for-this-test"
[instances.main.nginx]
mode = "external"
listen = ["127.0.0.1:{port}"]
[instances.main.core]
max_pool_size = 6
[defaults]
python = "{python}"
env.LEDGER = "{place}/ledger"

[apps.shop]
app_root = "flask_app"
env.FLASK_SECRET = "x"
max_request_queue_size = 2000  # holds what comes while Flask starts anew
nginx.static_max_age = "60s"

[apps.django]
app_root = "django_site"
entry_point = "site_config.wsgi:application"
server_names = ["django.test", "*.django.test"]
env.SECRET_KEY = "x"

[apps.chat]
app_root = "starlette_ws"
base_uri = "/ws"
env.ROUND = "1"

[apps.probe]
app_root = "probe"
server_names = ["probe.test"]
env.APP = "probe"
max_instances = 1
max_request_queue_size = 1
nginx.client_max_body_size = "1KiB"
"""


@dataclass(frozen=True, slots=True)
class Site:
    instance: RunningInstance
    port: int
    admin: int
    place: Path
    lines: Lines

    def core(self) -> int:
        return next(int(part["pid"]) for part in self.instance.status()["components"] if part["name"] == "core")

    def ledger(self) -> list[str]:
        return (self.place / "ledger").read_text().splitlines()


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[Site]:
    place, port, admin = shared_place, free_port(), free_port()
    public = projects.copy("flask_app", place) / "public"
    public.mkdir()
    files = {"a.txt": "text", "index.html": "<p>index", ".hidden": "secret", "x.php": "<?php"}
    for name, text in files.items():
        (public / name).write_text(text)
    (public / "link.txt").symlink_to("../passenger_wsgi.py")
    (public / "sub").mkdir()
    (public / "out").symlink_to(place)
    hand_over(place / "flask_app")
    projects.django_site(installation.python, place)
    projects.copy("starlette_ws", place)
    projects.copy("probe", place)
    (place / "ledger").touch()
    hand_over(place / "ledger")
    config = place / "passenger.toml"
    config.write_text(CONFIG.format(port=port, admin=admin, python=installation.python, place=place))
    with running(installation.passenger, config) as instance:
        instance.wait_started()
        include = instance.registry / "main/nginx/current/apache.conf"
        folder = place / "apache"
        folder.mkdir()
        with apache(folder, include, (port, admin)) as lines:
            yield Site(instance, port, admin, place, lines)


def test_pages_of_flask_and_django(site: Site) -> None:
    assert fetch(site.port, "/pid").text.isdecimal()
    first = fetch(site.port, "/count", method="POST", body=b"")
    again = fetch(site.port, "/count", method="POST", body=b"", headers={"Cookie": first.set_cookies[0].split(";")[0]})
    assert json.loads(again.text) == {"n": 2}
    for host in ("django.test", "www.django.test"):
        assert fetch(site.port, "/admin/login/", host=host).status == 200
    assert "django" in fetch(site.port, "/static/admin/css/base.css", host="django.test").text.lower()


def test_files_are_the_web_servers_and_nothing_else_is(site: Site) -> None:
    """As with nginx: dotfiles, links, folders and other methods are the application's, which knows none of them."""
    answer = fetch(site.port, "/a.txt")
    assert (answer.text, answer.headers["cache-control"]) == ("text", "max-age=60")
    assert fetch(site.port, "/").text == "<p>index"
    assert fetch(site.port, "/x.php").text == "<?php"
    assert fetch(site.port, "/a.txt", method="HEAD").headers["content-length"] == "4"
    for path in ("/.hidden", "/%2ehidden", "/link.txt", "/out/ledger", "/sub/", "/icons/", "/a.txt/x", "/../ledger"):
        answer = fetch(site.port, path)
        assert answer.status in {400, 404}, path
        assert "secret" not in answer.text
    assert fetch(site.port, "/a.txt", method="POST", body=b"x").status == 404


def test_a_hundred_megabytes_go_in_and_out(site: Site) -> None:
    sha = hashlib.sha256()
    for _ in range(UPLOAD_MIB):
        sha.update(BLOCK)
    size = UPLOAD_MIB * len(BLOCK)
    body = (BLOCK for _ in range(UPLOAD_MIB))
    answer = fetch(
        site.port, "/digest", method="POST", body=body, headers={"Content-Length": str(size)}, timeout=DEADLINE
    )
    assert json.loads(answer.text) == {"sha256": sha.hexdigest(), "size": size}
    assert hashlib.sha256(fetch(site.port, f"/download/{UPLOAD_MIB}").body).digest() == sha.digest()


def test_bodies_have_the_limit_of_their_application_and_a_length(site: Site) -> None:
    assert fetch(site.port, "/echo", host="probe.test", method="POST", body=b"x" * 1025).status == 413
    assert fetch(site.port, "/echo", host="probe.test", method="POST", body=b"x" * 1024).status == 200
    assert fetch(site.port, "/digest", method="POST", body=iter([b"x"])).status == 411


def test_what_cannot_be_cut_is_kept_alive(site: Site) -> None:
    """Of a response that may be cut the connection is closed, because Apache ends it at once only then."""
    pages = {"/pid": None, "/a.txt": None, "/stream": "close", "/download/1": "close"}
    assert {path: fetch(site.port, path).headers.get("connection") for path in pages} == pages
    assert fetch(site.port, "/download/1", method="HEAD").headers["content-length"] == str(1 << 20)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_cut_response_is_seen_as_one(site: Site, coding: str) -> None:
    """Also behind a filter of Apache's own."""
    whole = fetch(site.port, "/stream", headers={"Accept-Encoding": coding})
    assert whole.headers.get("content-encoding", "identity") == coding
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        fetch(site.port, "/cut/300", headers={"Accept-Encoding": coding}, timeout=DEADLINE)
    try:
        assert fetch(site.port, "/cut", headers={"Accept-Encoding": coding}).status == 500  # nothing was sent yet
    except (http.client.IncompleteRead, ConnectionError):
        assert site.instance.process.poll() is None


def test_of_a_short_response_nothing_is_sent_before_it_is_whole(site: Site) -> None:
    """Apache keeps its connection alive: what follows a cut one there would be taken for its rest."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=DEADLINE)
    with contextlib.closing(connection):
        for path, status in (("/cut/short", 502), ("/pid", 200), ("/cut/short", 502), ("/a.txt", 200)):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert (path, answer.status) == (path, status)


def test_forged_headers_are_dropped(site: Site) -> None:
    """F1, F2, F9: as behind nginx, and without the facts of Apache's own switches."""
    headers = {
        "User-Agent": "MSIE 5",
        "X-User": "good",
        "X_User": "evil",
        "X.User": "evil",
        "Proxy": "http://evil/",
        "Forwarded": "for=evil",
        "X-Forwarded-For": "evil",
        "X-Forwarded-Proto": "evil",
        "X-Forwarded-Host": "evil",
        "X-Real-IP": "evil",
        "Passenger-App": "shop",
        "X-Passenger-App": "shop",
        "Passenger-Connect-Secret": "evil-but-harmless",
        "Authorization": "Bearer mine",
    }
    given = json.loads(fetch(site.port, "/echo/%2f?a=%41", host="probe.test", headers=headers).text)
    assert (given["app"], given["HTTP_X_USER"], given["HTTP_AUTHORIZATION"]) == ("probe", "good", "Bearer mine")
    assert "evil" not in {value.removesuffix("-but-harmless") for n, value in given.items() if "SECRET" not in n}
    assert not {name for name in given if name.startswith(("PASSENGER", "HTTP_PROXY", "HTTP_X_FORWARDED"))}
    assert (given["REMOTE_ADDR"], given["SERVER_NAME"], given["SERVER_PORT"]) == (
        "127.0.0.1",
        "probe.test",
        str(site.port),
    )
    assert (given["SCRIPT_NAME"], given["PATH_INFO"], given["QUERY_STRING"]) == ("", "/echo//", "a=%41")


def test_a_websocket_passes_messages_and_its_end(site: Site) -> None:
    with contextlib.closing(socket.create_connection(("127.0.0.1", site.port), timeout=DEADLINE)) as stream:
        chat = WebSocket(stream, "/ws/chat")
        assert chat.receive() == "1 here"
        chat.send("hello")
        assert chat.receive() == "hello"
        assert site.instance.status()["requests"]["tunnels"] == 1
        chat.close()
        assert chat.closed() == 1000


def test_probes_and_nothing_else_on_the_admin_address(site: Site) -> None:
    assert [fetch(site.admin, f"/{name}").status for name in ("livez", "readyz", "startupz", "x", "")] == [
        200,
        200,
        200,
        404,
        404,
    ]
    assert "\npassenger_ready 1.0\n" in fetch(site.admin, "/metrics").text


def test_the_dashboard_is_live(site: Site) -> None:
    """Events come as they happen, and the token comes through."""
    assert "default-src 'none'" in fetch(site.admin, "/dashboard").headers["content-security-policy"]
    path = "/dashboard/output?id=none"
    assert fetch(site.admin, path).status == 401
    assert fetch(site.admin, path, headers={"Authorization": "Bearer only-for-this-test"}).status == 404
    connection = http.client.HTTPConnection("127.0.0.1", site.admin, timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("GET", "/dashboard/events")
        with connection.getresponse() as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            kinds = [line for line in iter(stream.readline, b"event: series\n") if line.startswith(b"event: ")]
    assert kinds[0] == b"event: limits\n"
    assert b"event: state\n" in kinds


class InBackground:
    """A request whose answer is looked at later."""

    def __init__(self, port: int, path: str) -> None:
        self.answer: Answer | Exception | None = None
        self._thread = threading.Thread(target=self._fetch, args=(port, path))
        self._thread.start()

    def _fetch(self, port: int, path: str) -> None:
        try:
            self.answer = fetch(port, path, host="probe.test", timeout=DEADLINE)
        except (OSError, http.client.HTTPException) as error:
            self.answer = error

    def result(self) -> Answer | Exception | None:
        self._thread.join(DEADLINE)
        return self.answer


def test_a_full_queue_is_503_of_ours(site: Site) -> None:
    gate = site.place / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    running_one = InBackground(site.port, f"/do/gate?fifo={gate}&id=full")
    wait_until(lambda: "waiting full" in site.ledger(), "the first is being served")
    queued = InBackground(site.port, "/echo")
    wait_until(lambda: any(group["queue"] for group in site.instance.status()["pool"]["groups"]), "the second waits")
    refused = fetch(site.port, "/echo", host="probe.test")
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "heavy load" in refused.text
    open_gate(gate)
    for one in (running_one, queued):
        answer = one.result()
        assert isinstance(answer, Answer)
        assert answer.status == 200


def test_core_killed_under_load_costs_what_was_in_it(site: Site) -> None:
    """C1 without nginx's second try: what was in the core is an error, what comes meanwhile waits."""
    gate = site.place / "gate-of-the-killed"
    os.mkfifo(gate)
    gate.chmod(0o666)
    lost = InBackground(site.port, f"/do/gate?fifo={gate}&id=killed")
    wait_until(lambda: "waiting killed" in site.ledger(), "a request is in the core")
    core = site.core()
    with load(site.port, "/pid", rate=100) as result:
        wait_until_count(result, 100)
        os.kill(core, signal.SIGKILL)
        wait_until_count(result, 600)
    answer = lost.result()
    assert not isinstance(answer, Answer) or answer.status >= 500, answer
    statuses = Counter(one.status for one in result.outcomes)
    assert sum(statuses.values()) == len(result.outcomes) >= 600
    assert len(result.failed) <= 10, statuses
    assert site.core() != core
