"""Every type of the registry goes from its keys to a process that answers, through the real chain."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from passenger.config.model import App
from passenger.spawn.direct import DirectSpawner
from passenger.spawn.factory import AppSpawnerFactory
from passenger.spawn.smart import SmartSpawner
from passenger.spawn.spawner import AppSocket
from passenger.spawn.spec import work_out
from tests.support.httploader import SocketHTTP
from tests.support.nodeapps import needed
from tests.support.spawning import Place, ask, place, run, stopped

ASGI = """
async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""
RACK = 'require "uri"; use Rack::Lint; run ->(env) { [200, { "content-type" => "text/plain" }, ["hello"]] }\n'
NODE = "require('http').createServer((req, res) => res.end('hello')).listen(3000)\n"
WSGI = """
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "5"); self.end_headers(); self.wfile.write(b"hello")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
SOCKET_SERVER = """
import http.server, os, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "5"); self.end_headers(); self.wfile.write(b"hello")
    def log_message(self, *args): pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): pass
Server(os.environ["SOCKET"], Handler).serve_forever()
"""
METEOR = f"#!{sys.executable}\n" + SERVER.replace(
    'os.environ["HOST"], int(os.environ["PORT"])', "'127.0.0.1', int(__import__('sys').argv[3])"
)


@pytest.fixture
def here() -> Iterator[Place]:
    with place() as made:
        yield made


def answer(here: Place, app: App, **changes: Any) -> AppSocket:
    """Start one process, ask it once, stop it; the socket that it announced."""

    async def life() -> tuple[AppSocket, bytes]:
        process = await here.spawner(app, **changes).spawn()
        (socket,) = process.sockets
        if socket.protocol == "session":
            said = ask(process)
        else:
            http = SocketHTTP(socket.address)
            said = http.fetch()
            http.close()
        await stopped(process)
        return socket, said

    socket, said = run(life())
    assert b"hello" in said
    assert here.socket_names() == []
    return socket


@pytest.mark.parametrize(
    ("files", "keys", "protocol", "concurrency"),
    [
        ({"passenger_wsgi.py": WSGI}, {"thread_count": 3}, "session", 3),
        ({"passenger_asgi.py": ASGI}, {}, "http_session", 0),
        ({"asgi.py": ASGI}, {"force_max_concurrent_requests_per_process": 7}, "http_session", 7),
        ({"web.py": ASGI}, {"app_type": "asgi", "startup_file": "web.py"}, "http_session", 0),
        ({"web.py": ASGI}, {"entry_point": "web:application"}, "http_session", 0),
        (
            {"web.py": WSGI},
            {"entry_point": "web:application", "thread_count": 2, "force_max_concurrent_requests_per_process": 7},
            "session",
            2,
        ),
        ({"config.ru": RACK}, {"thread_count": 4}, "session", 4),
        ({"app.js": NODE}, {}, "http_session", 0),
        ({"star.json": '{"format": "site-archive-pre1"}', "main.js": NODE}, {}, "http_session", 0),
        ({"src/main.cjs": NODE}, {"startup_file": "src/main.cjs"}, "http_session", 0),
        ({"app.js": NODE}, {"force_max_concurrent_requests_per_process": 5, "thread_count": 9}, "http_session", 5),
        ({"server.py": SERVER}, {"app_start_command": f"{sys.executable} server.py"}, "http_session", 0),
        ({"server.py": SOCKET_SERVER}, {"app_start_command": f"{sys.executable} server.py"}, "http_session", 0),
    ],
)
def test_each_type(here: Place, files: dict[str, str], keys: dict[str, Any], protocol: str, concurrency: int) -> None:
    """By its files or its keys; what it announces is what the configuration says."""
    needed("ruby", "ruby ruby-rack")
    needed("node", "nodejs")
    if "app_start_command" in keys:
        keys["app_start_command"] = f"{here.python} server.py"
    socket = answer(here, here.app("blog", files, **keys))
    assert (socket.protocol, socket.concurrency) == (protocol, concurrency)


@pytest.mark.parametrize(
    ("files", "keys", "expected"),
    [
        ({"passenger_wsgi.py": WSGI}, {}, True),
        ({"passenger_asgi.py": ASGI}, {}, True),
        ({"app.js": NODE}, {}, True),
        ({"server.py": SERVER}, {"app_start_command": ""}, False),
    ],
    ids=["wsgi", "asgi", "node", "generic"],
)
def test_whose_loader_is_asked_for_out_of_band_work(
    here: Place,
    files: dict[str, str],
    keys: dict[str, Any],
    expected: bool,  # noqa: FBT001
) -> None:
    """By the session protocol, or as the loader has announced: a foreign HTTP server never."""
    if keys:
        keys = {"app_start_command": f"{here.python} server.py"}
    app = here.app("blog", files, **keys)

    async def life() -> bool:
        process = await here.spawner(app).spawn()
        await stopped(process)
        return process.takes_errands

    assert run(life()) == expected


def test_meteor_is_found_in_the_applications_path(here: Place) -> None:
    """`.meteor` is a folder, whose owner decides; the program comes from the PATH of the `env` table."""
    (here.root / "bin").mkdir()
    here.script("bin/meteor", METEOR.replace(sys.executable, here.python))
    app = here.app("blog", {".meteor/release": "METEOR@3"}, env={"PATH": f"{here.root}/bin:{os.environ['PATH']}"})
    assert answer(here, app).protocol == "http_session"


@pytest.mark.root("switches users")
def test_the_owner_of_what_starts_it_decides(here: Place) -> None:
    """Of the startup file; of the folder with an entry point or a command; of the folder .meteor."""
    folder = here.root / "blog"
    for files, keys, owned in (
        ({"app.js": NODE}, {}, "app.js"),
        ({"config.ru": RACK}, {}, "config.ru"),
        ({".meteor/release": ""}, {}, ".meteor"),
        ({}, {"app_start_command": "./x"}, "."),
        ({}, {"entry_point": "a:b"}, "."),
    ):
        app = here.app("blog", files, **keys)
        os.chown(folder / owned, 33, 33)
        assert work_out("blog", app, here.context()).identity.uid == 33
        os.chown(folder / owned, 0, 0)
        for file in files:
            (folder / file).unlink()


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        ({"files": {"config.ru": ""}, "ruby": "nosuchruby"}, "correct `ruby`"),
        ({"files": {"app.js": ""}, "nodejs": "/no/such/node"}, "correct `nodejs`"),
        ({"files": {"passenger_wsgi.py": ""}, "python": "/no/such/python"}, "make the virtual environment anew"),
    ],
)
def test_a_missing_interpreter_is_named_with_its_key(here: Place, keys: dict[str, Any], hint: str) -> None:
    """What to correct is said in the words of the configuration."""
    error = here.fails(here.app("blog", **keys))
    assert error.category == "interpreter-missing"
    assert hint in error.hint


@pytest.mark.parametrize(
    ("files", "keys", "category"),
    [
        ({}, {}, "startup-file-missing"),
        ({}, {"app_type": "rack"}, "startup-file-missing"),
        ({}, {"app_type": "meteor"}, "startup-file-missing"),
        ({"server": ""}, {"startup_file": "server"}, "app-type-unknown"),
        ({}, {"app_type": "cobol"}, "app-type-unknown"),
        ({}, {"app_type": "generic"}, "load-error"),
    ],
)
def test_nothing_to_start(here: Place, files: dict[str, str], keys: dict[str, Any], category: str) -> None:
    """A folder may have changed since it was validated."""
    assert here.fails(here.app("blog", files, **keys)).category == category


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({}, SmartSpawner),
        ({"app_type": "wsgi"}, SmartSpawner),
        ({"app_type": "rack"}, SmartSpawner),
        ({"entry_point": "a:b"}, SmartSpawner),
        ({"entry_point": "a:b", "spawn_method": "direct"}, DirectSpawner),
        ({"app_type": "node"}, DirectSpawner),
        ({"app_type": "meteor"}, DirectSpawner),
        ({"app_start_command": "./x", "spawn_method": "smart"}, DirectSpawner),
    ],
)
def test_smart_where_there_is_a_preloader(here: Place, keys: dict[str, Any], kind: type) -> None:
    """The factory chooses by the table."""

    async def chosen() -> type:
        spawner = here.spawner(here.app("blog"))
        factory = AppSpawnerFactory(context=here.context(), loop=spawner._loop, clock=spawner._clock, log=spawner._log)
        return type(factory.spawner_for("blog", App(app_root="/srv/blog", **keys)))

    assert run(chosen()) is kind
