"""How an ASGI application is found, started, and refused with a clear word."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.test_wsgi_loader_pythons import interpreters
from tests.support.asgi import OURS, serving, starting

HELLO = """
async def {name}(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}})
    await send({{"type": "http.response.body", "body": b"hello"}})
"""

LIFESPAN = """
import sys
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive()) == {"type": "lifespan.startup"}
        %s
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = repr(sorted(scope["state"].items())).encode()
    scope["state"]["seen"] = True
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%%d" %% len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"passenger_asgi.py": HELLO.format(name="application")}, {}),
        ({"passenger_asgi.py": HELLO.format(name="app")}, {}),
        ({"asgi.py": HELLO.format(name="application")}, {"startup_file": "asgi.py"}),
        ({"deploy/run-it.py": HELLO.format(name="app")}, {"startup_file": "deploy/run-it.py"}),
        ({"blog/__init__.py": "", "blog/web.py": HELLO.format(name="site")}, {"entry_point": "blog.web:site"}),
        (
            {"factory.py": HELLO.format(name="site") + "def make():\n    return site\n"},
            {"entry_point": "factory:make()"},
        ),
        ({"passenger_asgi.py": "from blog import app\n", "blog.py": HELLO.format(name="app")}, {}),
        (
            {"asgi.py": "import other\n" + HELLO.format(name="app"), "other.py": "import asgi\n"},
            {"startup_file": "asgi.py"},
        ),
    ],
)
def test_ways_to_name_an_application(files: dict[str, str], options: dict[str, str]) -> None:
    """Startup file with either name, a file elsewhere, an entry point, a factory; modules beside it are found."""
    with serving(files, options=options) as made:
        assert made.connect().get() == b"hello"
        assert made.errors() == ""


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("import nonexistent_module", {}, "ModuleNotFoundError: No module named 'nonexistent_module'"),
        ("application = 1/0", {}, "ZeroDivisionError"),
        ("def broken(:", {}, "SyntaxError"),
        ("import sys; sys.exit(3)", {}, "ended itself while loading: sys.exit(3)"),
        ("x = 1", {}, "defines neither `application` nor `app`"),
        ("application = 7", {}, "cannot be called"),
        ("def application(environ, start_response): pass", {}, "it is a WSGI application"),
        ("def app(scope): return None", {}, "it is an ASGI 2 application"),
        ("async def app(scope): return None", {}, "it takes 1 arguments, not scope, receive and send"),
        ("def app(): return None", {}, "factory"),
        ("", {"startup_file": "absent.py"}, "absent.py does not exist"),
        ("", {"entry_point": "passenger_asgi:site"}, "there is no `site` in `passenger_asgi`"),
        ("raise RuntimeError('!> Ready')", {}, "RuntimeError: !> Ready"),
    ],
)
def test_what_cannot_be_loaded_is_explained(source: str, options: dict[str, str], words: str) -> None:
    """In the text after `!> Error`; the traceback holds the reader's own code only."""
    with starting(source, options=options) as made:
        text = made.error()
    assert words in text
    assert "passenger_asgi_loader" not in text
    assert "importlib" not in text


def test_a_module_may_want_the_running_loop_while_it_is_loaded() -> None:
    """As under uvicorn's own command: the loop of the import is the loop of the requests."""
    source = (
        "import asyncio\nloop = asyncio.get_running_loop()\n" + LIFESPAN % "assert loop is asyncio.get_running_loop()"
    )
    with serving(source) as made:
        assert made.connect().get() == b"[]"
        assert made.errors() == ""


def test_the_state_of_the_startup_reaches_every_request() -> None:
    """Each one gets a copy of its own."""
    with serving(LIFESPAN % "scope['state']['pool'] = 5") as made:
        conn = made.connect()
        for _ in range(2):
            assert ast.literal_eval(conn.get().decode()) == [("pool", 5)]


def test_a_failed_startup_fails_the_start_with_its_text() -> None:
    """What the application says of it is what Passenger shows."""
    failed = "await send({'type': 'lifespan.startup.failed', 'message': 'the database is asleep'}); return"
    with starting(LIFESPAN % failed) as made:
        assert "lifespan startup failed:\nthe database is asleep" in made.error()


def test_a_thread_that_hangs_does_not_hide_the_failure() -> None:
    """The end of the text is the end of the process, which waits for nobody."""
    failed = """import threading
        threading.Thread(target=threading.Event().wait).start()
        await send({'type': 'lifespan.startup.failed', 'message': 'asleep'})
        return"""
    with starting(LIFESPAN % failed) as made:
        assert made.error().endswith("asleep\n")


def test_an_answer_to_another_question_is_none() -> None:
    """The application gets an error for it, and is served without lifespan."""
    with serving(LIFESPAN % "await send({'type': 'lifespan.shutdown.complete'})") as made:
        assert made.connect().get() == b"[]"
        assert "lifespan.shutdown.complete is no answer to lifespan.startup" in made.errors()


def test_a_failing_starlette_lifespan_shows_its_traceback() -> None:
    """Starlette sends it as the message of the failure."""
    source = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
@asynccontextmanager
async def lifespan(app):
    raise LookupError("no such database")
    yield
app = Starlette(lifespan=lifespan)
"""
    with starting(source) as made:
        assert made.error().rstrip().endswith("LookupError: no such database")


def test_an_application_without_lifespan_is_served() -> None:
    """The specification has it so; an exception that may have been a failed startup is printed."""
    with serving(LIFESPAN % "raise LookupError('asleep')") as made:
        assert made.connect().get() == b"[]"
        assert "LookupError: asleep" in made.errors()
        assert "served without a lifespan" in made.errors()
        made.end_of_stdin()
        assert made.status() == 0


@pytest.mark.parametrize("how", ["eof", "term"])
def test_a_startup_that_hangs_can_be_ended(how: str) -> None:
    """By the spawner that gives up."""
    with starting(LIFESPAN % "open('begun', 'w').close(); await __import__('asyncio').Event().wait()") as made:
        begun = made.folder / "begun"
        os.mkfifo(begun)
        begun.read_text()
        if how == "eof":
            made.end_of_stdin()
            assert made.status() == 1
        else:
            made.process.send_signal(signal.SIGTERM)
            assert made.status() == -signal.SIGTERM


def environment(folder: Path, python: str = sys.executable) -> str:
    """The interpreter of a new, empty virtual environment."""
    made = subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    assert made.returncode == 0
    return str(folder / "bin/python")


PEEK = """
import sys
before = list(sys.path)
try:
    import uvicorn
    found = uvicorn.__file__
except ImportError:
    found = None
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    import importlib.util
    body = repr([sys.path == before, found, importlib.util.find_spec("uvicorn_not_ours"), importlib.util.find_spec("rich")])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body.encode()})
"""


def test_passengers_uvicorn_is_borrowed_without_a_trace(tmp_path: Path) -> None:
    """It serves an environment that has none, WebSockets included; nothing else of ours becomes importable."""
    with serving(PEEK, python=environment(tmp_path), options={"uvicorn_path": OURS}) as made:
        path_unchanged, found, _, rich = ast.literal_eval(made.connect().get().decode())
        assert path_unchanged
        assert found is None
        assert rich is None
        assert made.errors() == ""


def test_without_any_uvicorn_the_error_says_where_to_install_it(tmp_path: Path) -> None:
    """It names the interpreter of the application."""
    python = environment(tmp_path)
    with starting(HELLO.format(name="app"), python=python) as made:
        assert made.error() == f"there is no uvicorn: install it into the environment of the application ({python})\n"


def test_the_applications_own_uvicorn_wins(tmp_path: Path) -> None:
    """Even a broken one: what is installed there is meant to be used, and the traceback says what is wrong with it."""
    files = {"passenger_asgi.py": HELLO.format(name="app"), "uvicorn/__init__.py": "raise ImportError('mine')\n"}
    with starting(files, options={"uvicorn_path": OURS}) as made:
        text = made.error()
    assert "ImportError: mine" in text
    assert "install another one into the application's environment" in text


@pytest.mark.parametrize(("version", "python"), sorted(interpreters().items()))
def test_under_each_python_there_is(version: str, python: str) -> None:
    """With our uvicorn where that runs (3.10 on), else with the advice to install an older one."""
    files = {"passenger_asgi.py": HELLO.format(name="app")}
    with starting(files, python=python, options={"uvicorn_path": OURS}) as made:
        if int(version.partition(".")[2]) < 10:
            assert "install another one" in made.error()
            return
        made.ready()
        assert made.connect().get() == b"hello"
        made.end_of_stdin()
        assert made.status() == 0
        assert made.errors() == ""
