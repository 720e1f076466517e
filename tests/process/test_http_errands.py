"""Out-of-band work of loaders that speak HTTP: asked for with the password, and by nobody else."""

from __future__ import annotations

import pytest

from tests.support.asgi import Answers, serving, starting
from tests.support.httploader import http_loader

PASSWORD = "Zk3pQ9vT"
OFFER = {"oobw": "http", "connect_password": PASSWORD}
TARGET = "/-passenger/oob-work"
ERRAND = {"X-Passenger-OOB-Work": PASSWORD}
CLIENTS: tuple[dict[str, str], ...] = (
    {},
    {"X-Passenger-OOB-Work": ""},
    {"X-Passenger-OOB-Work": "zk3pQ9vT"},
    {"X-Passenger-OOB-Work": "1"},
)

ASGI = """
import asyncio
from passenger_loader.hooks import on_oob_work
notes = []

@on_oob_work
def plain():
    notes.append("plain in " + type(asyncio.get_running_loop()).__name__[-4:])

@on_oob_work
async def waits():
    await asyncio.sleep(0)
    notes.append("waited")

@on_oob_work
async def fails():
    raise LookupError("no such thing")

@on_oob_work
async def last():
    notes.append("last")

async def application(scope, receive, send):
    assert scope["type"] == "http"
    body = repr((scope["path"], notes)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
NODE = """
const notes = [];
const served = [];
const later = (note) => new Promise((done) => setImmediate(() => { notes.push(note); done(); }));
PhusionPassenger.on('oob_work', () => { notes.push('plain'); });
PhusionPassenger.on('oob_work', async () => { throw new Error('no such thing'); });
PhusionPassenger.once('oob_work', () => later('once'));
require('http').createServer((req, res) => {
  served.push(req.url);
  res.end(JSON.stringify([served, notes]));
}).listen(3000);
"""


def ask(connection: Answers) -> None:
    connection.send(TARGET, method="POST", headers={**ERRAND, "Content-Length": "0", "Connection": "close"})
    assert connection.response()[::2] == (200, b"oobw done")
    assert connection.is_closed()


def test_asgi_runs_functions_and_coroutines_in_its_loop_and_answers_when_they_are_done() -> None:
    with starting(ASGI, options=OFFER) as made:
        made.ready()
        ask(made.connect())
        told = made.connect().get("/")
        assert b"'plain in Loop', 'waited', 'last'" in told
        assert "[loader] out-of-band work failed:" in made.errors()
        assert "LookupError: no such thing" in made.errors()


@pytest.mark.parametrize("options", [OFFER, {"connect_password": PASSWORD}, {"oobw": "http"}, {}])
def test_asgi_takes_what_clients_send_for_what_it_is(options: dict[str, str]) -> None:
    """Without an offer even the password is just a header."""
    with serving(ASGI, options=options) as made:
        connection = made.connect()
        words = CLIENTS if options == OFFER else (*CLIENTS, ERRAND)
        for headers in words:
            assert connection.get(TARGET, headers=headers) == f"('{TARGET}', [])".encode()


def test_node_calls_everybody_who_listens_and_answers_when_they_are_done() -> None:
    with http_loader(("node", "node_loader.js"), {"app.js": NODE}, env=None, **OFFER) as made:
        assert made.said[-2:] == ["!> oobw: http\n", "!> \n"]
        for _ in range(2):
            assert made.http().fetch(TARGET, method="POST", headers=ERRAND) == b"oobw done"
        assert made.http().fetch("/") == b'[["/"],["plain","once","plain"]]'
        assert "[loader] out-of-band work failed: Error: no such thing" in made.errors()
        made.end_of_stdin()
        assert made.status() == 0


@pytest.mark.parametrize("options", [OFFER, {"connect_password": PASSWORD}, {"oobw": "http"}, {}])
def test_node_takes_what_clients_send_for_what_it_is(options: dict[str, str]) -> None:
    with http_loader(("node", "node_loader.js"), {"app.js": NODE}, env=None, **options) as made:
        assert ("!> oobw: http\n" in made.said) == (options == OFFER)
        connection = made.http()
        words = CLIENTS if options == OFFER else (*CLIENTS, ERRAND)
        for headers in words:
            assert connection.fetch(TARGET, method="POST", headers=headers).endswith(b",[]]")
        if options == OFFER:
            for method, path in (("GET", TARGET), ("POST", "/"), ("POST", TARGET + "?")):
                assert connection.fetch(path, method=method, headers=ERRAND).endswith(b",[]]")
