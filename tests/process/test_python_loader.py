"""An entry point without an `app_type`: the loader and the preloader see by themselves whether it is WSGI or ASGI."""

from __future__ import annotations

import pytest

from tests.process.test_asgi_preloader import Worker, announced
from tests.support.asgi import Answers, starting
from tests.support.loader import Connection

BOTH = """
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"wsgi"]

class OldFashioned:
    def __init__(self, environ, start_response):
        self.start = start_response
    def __iter__(self):
        self.start("200 OK", [("Content-Length", "4")])
        yield b"wsgi"

def wrapped(*args):
    return wsgi(*args)

async def asgi(scope, receive, send):
    if scope["type"] != "lifespan":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"asgi"})

class Framework:
    def __init__(self):
        self.handler = asgi
    def __call__(self, scope, receive, send):
        return self.handler(scope, receive, send)

framework = Framework()
def make():
    return framework
async def wrong(a): ...
def old_asgi(scope): ...
number = 5
"""

KINDS = [
    ("blog:wsgi", "session"),
    ("blog:OldFashioned", "session"),
    ("blog:wrapped", "session"),
    ("blog:asgi", "http_session"),
    ("blog:framework", "http_session"),
    ("blog:make()", "http_session"),
]


def answer(path: str, protocol: str) -> bytes:
    """What the application says, in the announced protocol."""
    if protocol == "http_session":
        http = Answers(path)
        try:
            return http.get()
        finally:
            http.close()
    session = Connection(path)
    try:
        session.send()
        return session.response()[2]
    finally:
        session.close()


@pytest.mark.parametrize(("entry_point", "protocol"), KINDS)
def test_loader(entry_point: str, protocol: str) -> None:
    """It announces and speaks the protocol that suits what it found."""
    options = {"entry_point": entry_point, "connect_password": "secret"}
    with starting({"blog.py": BOTH}, script="python_loader.py", options=options) as made:
        assert made.ready() == f"{protocol};{0 if protocol == 'http_session' else 1}"
        assert answer(made.path, protocol) == (b"asgi" if protocol == "http_session" else b"wsgi")
        made.end_of_stdin()
        assert made.status() == 0
        assert made.errors() == ""


@pytest.mark.parametrize(("entry_point", "protocol"), KINDS[::3])
def test_preloader(entry_point: str, protocol: str) -> None:
    """The same from a fork."""
    options = {"entry_point": entry_point, "connect_password": "secret"}
    with starting({"blog.py": BOTH}, script="python_preloader.py", options=options) as made:
        worker = Worker(announced(made))
        try:
            assert f";{protocol};" in worker.answer
            assert answer(worker.path, protocol) == (b"asgi" if protocol == "http_session" else b"wsgi")
        finally:
            worker.talk.close()


@pytest.mark.parametrize(
    ("entry_point", "words"),
    [
        ("blog:number", "no application (a int): it cannot be called"),
        ("blog:make", "factory()"),
        ("blog:old_asgi", "ASGI 2"),
        ("blog:absent", "there is no `absent` in `blog`"),
    ],
)
def test_neither(entry_point: str, words: str) -> None:
    """What is neither is explained."""
    with starting({"blog.py": BOTH}, script="python_loader.py", options={"entry_point": entry_point}) as made:
        assert words in made.error()
