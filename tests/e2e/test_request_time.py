"""Requests that run too long, through the whole stack: who is to blame ends, alone if that can be (fault matrix A6, A7, E8)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import Answer, fetch
from tests.support.installation import Installation, hand_over
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import RunningInstance, free_port, running

LIMIT = 1.0
LATEST = 30.0
"""When a 504 is there even on a machine with hundreds of other things to do; it is within a second of LIMIT on others."""

PYTHON = """
import ctypes, os, sys
from time import sleep as nap

def spin():
    while True:
        pass

def doze():
    nap(1000)

def stuck():
    lock = ctypes.create_string_buffer(64)
    library = KIND(None)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)  # never comes back, whatever signal comes

def swallow():
    for _ in range(40):
        try:
            nap(0.05)
        except BaseException:
            os.write(2, b"swallowed\\n")

def work(path):
    function = globals().get(path[1:])
    if path in ("/spin", "/doze", "/stuck", "/swallow"):
        function()
    return b"%d" % os.getpid()
"""

WSGI = (
    PYTHON
    + """
def chunks():
    while True:
        yield b"x"
        nap(0.01)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/chunks":
        return chunks()
    body = work(environ["PATH_INFO"])
    return [body + b" " + environ["QUERY_STRING"].encode()]
"""
)

ASGI = (
    PYTHON
    + """
from asyncio import sleep as rest

async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/wait":
        await rest(1000)
    if scope["path"] == "/short":
        await rest(0.5)
    body = work(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
)

RACK = """
run lambda { |env|
  loop { } if env["PATH_INFO"] == "/spin"
  [200, {}, [Process.pid.to_s]]
}
"""

NODE = """
require('http').createServer((request, response) => {
  if (request.url === '/spin') for (;;);
  if (request.url === '/hang') return;
  if (request.url === '/short') return setTimeout(() => response.end(String(process.pid)), 600);
  response.end(String(process.pid));
}).listen();
"""

CONFIG = """
config_version = 1
[instances.main]
nginx.listen = ["127.0.0.1:PORT"]
core.max_pool_size = 12
[defaults]
max_request_time = "1s"
min_instances = 1
max_instances = 1
[apps.wsgi]
app_root = "PLACE/wsgi"
server_names = ["wsgi.test"]
custom_error_page = "sorry.html"
[apps.pair]
app_root = "PLACE/wsgi"
server_names = ["pair.test"]
min_instances = 2
max_instances = 2
[apps.stuck]
app_root = "PLACE/stuck"
server_names = ["stuck.test"]
[apps.threads]
app_root = "PLACE/wsgi"
server_names = ["threads.test"]
thread_count = 4
[apps.asgi]
app_root = "PLACE/asgi"
server_names = ["asgi.test"]
[apps.rack]
app_root = "PLACE/rack"
server_names = ["rack.test"]
[apps.node]
app_root = "PLACE/node"
server_names = ["node.test"]
[apps.blocked]
app_root = "PLACE/node"
server_names = ["blocked.test"]
[apps.patient]
app_root = "PLACE/wsgi"
server_names = ["patient.test"]
max_request_time = "0s"
max_request_queue_time = "500ms"
request_queue_timeout_status_code = 529
"""

FILES = {
    "wsgi/passenger_wsgi.py": WSGI.replace("KIND", "ctypes.CDLL"),
    "stuck/passenger_wsgi.py": WSGI.replace("KIND", "ctypes.PyDLL"),  # and the interpreter is stuck with it
    "asgi/passenger_asgi.py": ASGI.replace("KIND", "ctypes.CDLL"),
    "rack/config.ru": RACK,
    "node/app.js": NODE,
    "wsgi/sorry.html": "<h1>We are sorry.</h1>",
}


@dataclass
class Site:
    """The instance, and how to ask it."""

    instance: RunningInstance
    port: int

    def get(self, app: str, path: str = "/") -> Answer:
        return fetch(self.port, path, host=f"{app}.test")

    def timed(self, app: str, path: str) -> tuple[int, float]:
        began = time.monotonic()
        return self.get(app, path).status, time.monotonic() - began

    def group(self, app: str) -> Any:
        return next(one for one in self.instance.status()["pool"]["groups"] if one["name"] == app)

    def counters(self, app: str) -> Any:
        return self.group(app)["counters"]


def app_file(app: str) -> str:
    return {"asgi": "passenger_asgi.py", "rack": "config.ru"}.get(app, "passenger_wsgi.py")


@pytest.fixture(scope="module")
def site(installation: Installation, shared_place: Path) -> Iterator[Site]:
    """One application of each kind; a second is the limit for all of them."""
    for name, text in FILES.items():
        file = shared_place / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (shared_place / "wsgi" / "sorry.html").chmod(0o600)
    for folder in ("wsgi", "stuck", "asgi", "rack", "node"):
        hand_over(shared_place / folder)
    port = free_port()
    config = shared_place / "passenger.toml"
    config.write_text(CONFIG.replace("PORT", str(port)).replace("PLACE", str(shared_place)))
    with running(installation.passenger, config) as started:
        started.wait_started()
        yield Site(started, port)
        assert started.stop() == 0


@pytest.mark.parametrize(
    ("app", "path"),
    [
        ("wsgi", "/spin"),
        ("wsgi", "/doze"),
        ("threads", "/spin"),
        ("asgi", "/spin"),
        ("asgi", "/doze"),
        ("asgi", "/wait"),
        ("rack", "/spin"),
    ],
)
def test_the_request_is_interrupted_and_its_process_goes_on(site: Site, app: str, path: str) -> None:
    """A6: 504 in time, the place free again, the same process; where it was stands in the log."""
    before, pid = site.counters(app), site.get(app).body.split()[0]
    seen = len(site.instance.lines.seen)
    status, seconds = site.timed(app, path)
    assert status == 504
    assert LIMIT <= seconds < LATEST
    wait_until(lambda: site.counters(app)["requests_interrupted"] == before["requests_interrupted"] + 1, "freed")
    assert site.get(app).body.split()[0] == pid
    after = site.counters(app)
    assert after["requests_over_time"] == before["requests_over_time"] + 1
    assert after["processes_over_time"] == 0
    assert site.group(app)["processes"][0]["sessions"] == 0
    site.instance.lines.wait_for(rf"request over time.*{path}", after=seen)
    said = rf"App {app}\[\d+\] stderr: "
    site.instance.lines.wait_for(rf"{said}\[loader\] process {pid.decode()}: a request ran longer than", after=seen)
    site.instance.lines.wait_for(rf"{said}    \S*/{app_file(app)}:\d+", after=seen)


def test_a_response_that_has_begun_is_cut(site: Site) -> None:
    """It does not look complete, and the generator is closed."""
    with pytest.raises(Exception, match=r"IncompleteRead|incomplete"):
        site.get("wsgi", "/chunks")
    assert site.get("wsgi").status == 200


def test_no_answer_is_given_to_somebody_else(site: Site) -> None:
    """E8: an application that does not let itself be interrupted answers late; whoever comes next gets his own answer."""
    status, _ = site.timed("wsgi", "/swallow?late")
    assert status == 504
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: site.get("wsgi", f"/?{number}").text.split()[1], range(40)))
    assert answers == [str(number) for number in range(40)]


def test_others_do_not_notice(site: Site) -> None:
    """Two processes; while one hangs the other serves everybody, and nothing fails."""
    with load(site.port, "/", host="pair.test", rate=100.0) as result:
        wait_until_count(result, 50)
        assert site.timed("pair", "/spin")[0] == 504
        wait_until_count(result, len(result.outcomes) + 50)
    assert {one.status for one in result.outcomes} == {200}
    latencies = sorted(one.done - one.due for one in result.outcomes)
    assert latencies[len(latencies) // 2] < LIMIT / 2


def test_a_node_process_that_lives_loses_only_what_is_too_old(site: Site) -> None:
    """A7: nobody can interrupt a request there, but its client leaves; the others, and the process, go on."""
    pid = site.get("node").text
    with ThreadPoolExecutor(20) as pool:
        hanging = [pool.submit(site.timed, "node", "/hang") for _ in range(5)]
        wait_until(lambda: site.group("node")["processes"][0]["sessions"] == 5, "five requests in there")
        threading.Event().wait(LIMIT / 2)
        young = [pool.submit(site.get, "node", "/short") for _ in range(15)]
        assert [one.result()[0] for one in hanging] == [504] * 5
        assert [one.result().text for one in young] == [pid] * 15
    assert site.get("node").text == pid
    assert site.counters("node")["processes_over_time"] == 0


def test_what_cannot_be_interrupted_ends_with_its_process(site: Site) -> None:
    """A6, three at once: the interpreter hangs in C; Node's event loop is blocked; one thread of several hangs in C."""
    old = {app: site.get(app).text.split()[0] for app in ("stuck", "blocked", "threads")}
    asked: dict[str, Callable[[], tuple[int, float]]] = {
        "stuck": lambda: site.timed("stuck", "/stuck"),
        "blocked": lambda: site.timed("blocked", "/spin"),
        "threads": lambda: site.timed("threads", "/stuck"),
    }
    with ThreadPoolExecutor(8) as pool:
        answers: dict[str, Future[tuple[int, float]]] = {app: pool.submit(ask) for app, ask in asked.items()}
        assert site.get("threads").text.split()[0] == old["threads"], "its other threads serve on"
        for app, answer in answers.items():
            status, seconds = answer.result()
            assert (app, status) == (app, 504)
            assert LIMIT <= seconds < LATEST
        for app, pid in old.items():
            wait_until(lambda app=app, pid=pid: site.get(app).text.split()[0] != pid, f"a new process of {app}")
            assert site.counters(app)["processes_over_time"] == 1
    lines = site.instance.lines
    lines.wait_for(rf"App stuck\[{old['stuck']}\] stderr:   File .* in stuck$")
    lines.wait_for(rf"App threads\[{old['threads']}\] stderr:   File .* in stuck$")
    lines.wait_for(rf"cannot show where it is.*blocked.*{old['blocked']}")
    lines.wait_for(rf"process ended.*stuck.*{old['stuck']}.*killed by signal 9")


def test_who_waits_too_long_is_refused(site: Site) -> None:
    """max_request_queue_time, with its own status; the one that runs is not touched."""
    before = site.counters("patient")["refused_queue_time"]
    with ThreadPoolExecutor(2) as pool:
        runs = pool.submit(site.timed, "patient", "/swallow")
        wait_until(lambda: site.group("patient")["processes"][0]["sessions"] == 1, "the process is busy")
        late = site.get("patient")
        assert late.status == 529
        assert late.headers["retry-after"] == "1"
        assert runs.result()[0] == 200
    assert site.counters("patient")["refused_queue_time"] == before + 1


def test_the_own_error_page_takes_the_place_of_ours(site: Site) -> None:
    """It is readable for the application's user only; other applications show Passenger's."""
    answer = site.get("wsgi", "/spin")
    assert (answer.status, answer.text) == (504, "<h1>We are sorry.</h1>")
    assert "content-security-policy" not in answer.headers
    answer = site.get("pair", "/spin")
    assert answer.status == 504
    assert "The application did not respond in time." in answer.text
