"""The Node loader with what people use: Express, ws, Fastify. From the registry, by lock files."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.httploader import HttpLoader, started
from tests.support.nodeapps import installed
from tests.support.websocket_client import WebSocket

NODE = ("node", "node_loader.js")


@contextmanager
def app(name: str, request: pytest.FixtureRequest, **env: str) -> Iterator[HttpLoader]:
    assert request.config.cache is not None
    folder = installed(name, request.config.cache)
    with (
        tempfile.TemporaryDirectory(dir="/tmp", prefix="pp") as sockets,
        started(NODE, folder, env=env, socket_dir=sockets) as made,
    ):
        yield made
        assert made.status() == 0, made.errors()
        assert list(Path(sockets).iterdir()) == []


def test_express(request: pytest.FixtureRequest) -> None:
    """Routing, JSON, a streamed upload, server-sent events, an error, the client's address behind the proxy."""
    with app("express_app", request, NODE_ENV="production", GREETING="good day") as made:
        assert 'listening {"address":"127.0.0.1","family":"IPv4","port":3000}\n' in [*made.said, made.line()]
        http = made.http()
        assert http.fetch() == b"hello from Express"
        assert json.loads(http.fetch("/env")) == {"mode": "production", "greeting": "good day"}
        forwarded = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "Host": "blog.example"}
        who = json.loads(http.fetch("/who", headers=forwarded))
        assert (who["ip"], who["protocol"], who["host"]) == ("203.0.113.7", "https", "blog.example")
        echo = http.fetch("/echo", method="POST", body=b'{"a": [1]}', headers={"Content-Type": "application/json"})
        assert json.loads(echo) == {"echo": {"a": [1]}}
        body = os.urandom(3_000_000)
        assert http.fetch("/digest", method="POST", body=body).decode() == hashlib.sha256(body).hexdigest()
        assert http.fetch("/events") == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
        http.request("GET", "/fail")
        answer = http.getresponse()
        assert answer.status == 500
        assert b"at " not in answer.read()
        made.end_of_stdin()
        assert made.status() == 0
        assert "Error: this route always fails" in made.errors()


def test_ws_echoes_and_is_closed_in_words(request: pytest.FixtureRequest) -> None:
    """A page, two WebSockets; the client sees 1012 at the end, the application sees its close event."""
    with app("node_ws", request) as made:
        assert b"<title>Chat</title>" in made.http().fetch()
        first, second = WebSocket(made.raw(), "/chat"), WebSocket(made.raw(), "/echo")
        for number in range(100):
            second.send(f"{number} " + "x" * 1000)
            assert second.receive() == f"{number} " + "x" * 1000
        first.send("hello all")
        assert first.receive() == second.receive() == "hello all"
        first.close(1000)
        first.ended()
        assert made.line() == "closed 1000\n"
        made.terminate()
        assert second.closed() == 1012
        assert made.line() == "closed 1012\n"


def test_fastify_as_an_es_module(request: pytest.FixtureRequest) -> None:
    """It binds `localhost`, in both families where there are two: one server all the same."""
    with app("esm_app", request) as made:
        assert "listening http://127.0.0.1:3000\n" in [*made.said, made.line()]
        http = made.http()
        assert http.fetch() == b"hello from Fastify"
        who = json.loads(http.fetch("/who", headers={"X-Forwarded-For": "203.0.113.7"}))
        assert who["ip"] == "203.0.113.7"
        made.end_of_stdin()
