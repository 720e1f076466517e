"""The applications that people write, in FastAPI and Starlette, and what the loader's announcement is worth to the spawner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wsproto.events import Event, TextMessage

from passenger.wire.spawn import SpawnTalk
from passenger.wire.spawnevents import Output, Ready, RequestWanted
from tests.support.asgi import AsgiLoader, starting

APPS = Path(__file__).parents[1] / "e2e/apps"
CORE = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "x-forwarded-port": "443"}


@contextmanager
def app(name: str, **options: str) -> Iterator[AsgiLoader]:
    files = {path.name: path.read_text() for path in (APPS / name).glob("*.py")}
    with starting(files, options=options) as made:
        made.ready()
        yield made


def text_of(event: Event) -> str:
    assert isinstance(event, TextMessage)
    return event.data


def test_fastapi() -> None:
    """Validation, sync and async routes, a stream, a background task, documentation, lifespan with state."""
    with app("fastapi_app") as made:
        conn = made.connect()
        as_json = {**CORE, "content-type": "application/json"}
        conn.send("/notes", method="POST", body=b'{"title": "buy milk"}', headers=as_json)
        status, _, body = conn.response()
        assert (status, json.loads(body)) == (201, {"id": 1, "title": "buy milk", "text": ""})
        conn.send("/notes", method="POST", body=b'{"title": ""}', headers=as_json)
        assert conn.response()[0] == 422
        assert json.loads(conn.get("/notes/1")) == {"title": "buy milk", "text": ""}
        conn.send("/notes/2")
        assert conn.response()[0] == 404
        assert conn.get("/events") == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert b"swagger" in conn.get("/docs").lower()
        found = json.loads(conn.get("/", headers=CORE))
        assert found["url"] == "https://blog.example.com/"
        assert (found["notes"], found["mails"], found["client"]) == (1, 1, "192.0.2.7")
        peer = made.websocket("/echo")
        peer.send(TextMessage(data="hello"))
        assert text_of(peer.next()) == "hello"
        peer.close()
        made.end_of_stdin()
        assert made.status() == 0
        assert made.process.stdout is not None
        assert made.process.stdout.read() == b"closed with 1 notes\n"


def test_fastapi_below_a_base_uri() -> None:
    """Its routes and its own links are right, as `path` and `root_path` are."""
    with app("fastapi_app", base_uri="/office/notes") as made:
        conn = made.connect()
        found = json.loads(conn.get("/office/notes/", headers=CORE))
        assert found["url"] == "https://blog.example.com/office/notes/"
        assert found["docs"] == "https://blog.example.com/office/notes/docs"
        assert b"/office/notes/openapi.json" in conn.get("/office/notes/docs")
        conn.send("/office/notes/notes/1")
        assert conn.response()[0] == 404
        peer = made.websocket("/office/notes/echo")
        peer.send(TextMessage(data="hello"))
        assert text_of(peer.next()) == "hello"


@pytest.mark.parametrize(("proto", "scheme"), [("https", "wss"), ("http", "ws")])
def test_starlette_chat(proto: str, scheme: str) -> None:
    """Everybody hears everybody; the page knows under which address."""
    with app("starlette_ws", startup_file="asgi.py") as made:
        page = made.connect().get("/", headers={"x-forwarded-proto": proto})
        assert f'new WebSocket("{scheme}://blog.example.com/chat")'.encode() in page
        first, second = made.websocket("/chat"), made.websocket("/chat")
        assert (text_of(first.next()), text_of(second.next())) == ("1 here", "2 here")
        first.send(TextMessage(data="hello all"))
        assert (text_of(first.next()), text_of(second.next())) == ("hello all", "hello all")
        made.end_of_stdin()
        assert (first.closed(), second.closed()) == (1012, 1012)
        assert made.status() == 0
        assert made.errors() == ""


def test_the_announcement_is_what_the_spawner_reads() -> None:
    """Handshake, output, Ready with one http_session socket: heard by the spawner's own ears."""
    source = "print('loading', flush=True)\nasync def app(scope, receive, send): ...\n"
    with starting(source, options={"max_concurrent_requests": "12"}) as made:
        talk = SpawnTalk()
        events = talk.feed(b"!> I have control 1.0\n")
        assert isinstance(events[-1], RequestWanted)
        assert made.process.stdout is not None
        said = b"".join(iter(made.process.stdout.readline, b"!> \n")) + b"!> \n"
        heard = list(talk.feed(said))
        assert isinstance(heard[0], Output)
        assert heard[0].data.startswith(b"loading\n")
        ready = heard[-1]
        assert isinstance(ready, Ready)
        (announced,) = ready.sockets
        assert (announced.protocol, announced.concurrency) == ("http_session", 12)
        assert announced.address.startswith(f"unix:{made.folder}/asgi.")
