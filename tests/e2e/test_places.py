"""How many requests a process gets at a time, through real nginx and core, for types that would take any number."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.http import fetch
from tests.support.installation import Installation
from tests.support.load import load, wait_until_count
from tests.support.oneapp import one_app

ASGI = """
import asyncio, threading
running = most = streams = 0

async def takes(seconds):
    await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, seconds)

async def answer(send, text):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})

async def application(scope, receive, send):
    global running, most, streams
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    if scope["path"].startswith("/events"):
        streams += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: %d\\n\\n" % streams, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        streams -= 1
        return
    running += 1
    most = max(most, running)
    await takes(0.02)
    running -= 1
    await answer(send, b"%d %d" % (most, streams))
"""
NODE = """
let running = 0, most = 0;
require('http').createServer((req, res) => {
  running += 1;
  most = Math.max(most, running);
  setTimeout(() => { running -= 1; res.end(`${most} 0`); }, 20);
}).listen(3000);
"""
GENERIC = """
import http.server, os, threading
lock, running, most = threading.Lock(), 0, 0

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # else the head goes alone, and the body waits for its acknowledgement

    def do_GET(self):
        global running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.02)
        with lock:
            running -= 1
        text = b"%d 0" % most
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
LIMIT = "force_max_concurrent_requests_per_process = 3"


@pytest.mark.parametrize(
    ("name", "source", "keys"),
    [
        ("passenger_asgi.py", ASGI, ""),
        ("passenger_asgi.py", ASGI, 'spawn_method = "smart"'),
        ("app.js", NODE, ""),
        ("server.py", GENERIC, 'app_start_command = "{python} server.py"'),
    ],
    ids=["asgi", "asgi, preloaded", "node", "generic"],
)
def test_a_process_gets_as_many_requests_at_a_time_as_it_is_configured_for(
    installation: Installation, place: Path, name: str, source: str, keys: str
) -> None:
    """More come than it may have at a time: it has that number, and never more; the others wait, none fails."""
    keys = f"{LIMIT}\n{keys.format(python=installation.python)}"
    with one_app(installation, place, name, source, keys, processes=1) as site:
        with load(site.port, rate=250.0) as result:
            wait_until_count(result, 100)
        assert not result.failed, [(one.status, one.problem) for one in result.failed][:5]
        assert fetch(site.port).text.split()[0] == "3"


def test_streams_on_paths_without_a_limit_take_no_place_under_load(installation: Installation, place: Path) -> None:
    """Twenty streams in a process of three places, and as many requests as ever go through."""
    keys = f'{LIMIT}\nunlimited_concurrency_paths = ["/events"]\nnginx.response_buffering = false'
    with one_app(installation, place, "passenger_asgi.py", ASGI, keys, processes=1) as site, ExitStack() as stack:
        with load(site.port, rate=50.0) as result:
            for number in range(20):
                path = "/events" if number % 2 else f"/events/{number}"
                assert f"data: {number + 1}\n" in first_event(stack, site.port, path)
            wait_until_count(result, len(result.outcomes) + 100)
        assert not result.failed, [(one.status, one.problem) for one in result.failed][:5]
        most, streams = fetch(site.port).text.split()
        assert (int(most) <= 3, streams) == (True, "20")
        (process,) = site.instance.status()["pool"]["groups"][0]["processes"]
        assert process["sessions"] == 0


def first_event(stack: ExitStack, port: int, path: str) -> str:
    """What a stream says up to its first event; it stays open as long as the stack."""
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    said = b""
    while b"data: " not in said or not said.endswith((b"\n\n", b"\r\n")):
        piece = sock.recv(4096)
        assert piece, said
        said += piece
    return said.decode()
