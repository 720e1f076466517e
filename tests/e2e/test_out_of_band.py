"""Out-of-band work of applications of each type through real nginx, and of one that knows nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.load import load, wait_until_count
from tests.support.oneapp import one_app

WSGI = """
import os, threading
from passenger_loader.hooks import on_oob_work

served = 0
here = os.path.dirname(os.path.abspath(__file__))

@on_oob_work
def collect():
    global served
    with open(os.path.join(here, "work.log"), "a") as log:
        log.write("%d after %d\\n" % (os.getpid(), served))
    served = 0

def application(environ, start_response):
    global served
    served += 1
    headers = [("Content-Type", "text/plain"), ("Content-Length", "2")]
    if served % 20 == 0:
        headers.append(("X-Passenger-Request-OOB-Work", "1"))
    start_response("200 OK", headers)
    return [b"ok"]
"""
RACK = """
SERVED = Queue.new
PhusionPassenger.on_event(:oob_work) do
  File.write(File.join(__dir__, "work.log"), "#{Process.pid} after #{SERVED.size}\\n", mode: "a")
  SERVED.clear
end
run lambda { |env|
  SERVED << 1
  headers = { "content-type" => "text/plain", "content-length" => "2" }
  headers["x-passenger-request-oob-work"] = "1" if SERVED.size % 20 == 0
  [200, headers, ["ok"]]
}
"""
ASGI = """
import asyncio, os, threading
from passenger_loader.hooks import on_oob_work
served = running = 0
here = os.path.dirname(os.path.abspath(__file__))

async def takes(seconds):
    await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, seconds)

@on_oob_work
async def collect():
    global served
    assert not running, "requests run beside it"
    await takes(0.01)
    assert not running, "a request has come"
    with open(os.path.join(here, "work.log"), "a") as log:
        log.write("%d after %d\\n" % (os.getpid(), served))
    served = 0

async def application(scope, receive, send):
    global served, running
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    served += 1
    running += 1
    headers = [(b"content-length", b"2")]
    if served % 20 == 0:
        headers.append((b"x-passenger-request-oob-work", b"1"))
    await takes(0.002)
    running -= 1
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
"""
NODE = """
const fs = require('fs');
const path = require('path');
let served = 0;
PhusionPassenger.on('oob_work', async () => {
  const before = served;
  await new Promise((done) => setTimeout(done, 10));
  if (served !== before) throw new Error('a request has come');
  fs.appendFileSync(path.join(__dirname, 'work.log'), `${process.pid} after ${served}\\n`);
  served = 0;
});
require('http').createServer((req, res) => {
  served += 1;
  if (served % 20 === 0) res.setHeader('X-Passenger-Request-OOB-Work', '1');
  res.setHeader('Content-Length', '2');
  res.end('ok');
}).listen(3000);
"""
GENERIC = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with open("work.log", "a") as log:
            log.write("%s %s %s\\n" % (self.command, self.path, "oob-work" in str(self.headers).lower()))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("X-Passenger-Request-OOB-Work", "1")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_OOBW = do_GET

    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
HEADER = "x-passenger-request-oob-work"


@pytest.mark.parametrize(
    ("name", "source", "keys"),
    [
        ("passenger_wsgi.py", WSGI, ""),
        ("config.ru", RACK, ""),
        ("passenger_asgi.py", ASGI, ""),
        ("passenger_asgi.py", ASGI, 'spawn_method = "smart"'),
        ("app.js", NODE, ""),
    ],
    ids=["wsgi", "rack", "asgi", "asgi, preloaded", "node"],
)
def test_out_of_band_work_under_load_costs_no_request(
    installation: Installation, place: Path, name: str, source: str, keys: str
) -> None:
    """Work comes after requests, without any beside it; no client sees the header, none can ask for it.

    On a quiet machine one of the two processes serves nearly everything, so how many worked is not asked.
    """
    with one_app(installation, place, name, source, keys) as site:
        with load(site.port, rate=200.0) as result:
            wait_until_count(result, 500)
        assert not result.failed, [(one.status, one.problem) for one in result.failed][:5]
        works = (site.root / "work.log").read_text().splitlines()
        assert len(works) >= 8
        assert all(int(work.split()[2]) >= 20 for work in works)
        assert "out-of-band work failed" not in site.instance.lines.text()
        answers = [fetch(site.port) for _ in range(45)]
        assert not [answer for answer in answers if HEADER in answer.headers]
        asked = {"X-Passenger-OOB-Work": "1", "Content-Length": "0"}
        for method in ("POST", "OOBW"):
            assert fetch(site.port, "/-passenger/oob-work", method=method, headers=asked).text != "oobw done"


def test_a_server_that_is_not_a_loader_of_ours_is_never_asked(installation: Installation, place: Path) -> None:
    """Its wish is stripped and dropped: it sees the requests of clients and nothing else."""
    keys = f'app_start_command = "{installation.python} server.py"'
    with one_app(installation, place, "server.py", GENERIC, keys) as site:
        answers = [fetch(site.port, f"/{number}") for number in range(20)]
        assert [answer.text for answer in answers] == ["ok"] * 20
        assert not [answer for answer in answers if HEADER in answer.headers]
        seen = [line for line in (site.root / "work.log").read_text().splitlines() if not line.startswith("GET / ")]
        assert seen == [f"GET /{number} False" for number in range(20)]
