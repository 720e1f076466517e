"""Old versions of uvicorn, as far as docs/asgi.md says that they work: installed from the registry, beside ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.asgi import serving

DOCS = Path(__file__).parents[2] / "docs/asgi.md"
APP = """
from contextlib import asynccontextmanager
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

@asynccontextmanager
async def lifespan(app):
    yield {"opened": "a pool"}

async def about(request):
    body = await request.body()
    return JSONResponse([uvicorn.__version__, len(body), getattr(request.state, "opened", None)])

async def talk(socket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.receive()

app = Starlette(routes=[Route("/", about, methods=["POST"]), WebSocketRoute("/ws", talk)], lifespan=lifespan)
"""


def claimed(pattern: str) -> str:
    found = re.search(pattern, DOCS.read_text())
    assert found
    return found[1]


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose packages come before those of the environment."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def install(version: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--target", str(folder), f"uvicorn=={version}"], check=True, timeout=120)


def test_the_oldest_that_can_do_all(folder: Path) -> None:
    """Requests, the state of the lifespan, WebSockets that are closed at the end; no complaint."""
    version = claimed(r"uvicorn (\d+\.\d+\.\d+) or newer")
    install(version, folder)
    with serving(APP) as made:
        conn = made.connect()
        conn.send(method="POST", body=b"x" * 100_000)
        assert conn.response()[2] == f'["{version}",100000,"a pool"]'.encode()
        peer = made.websocket()
        peer.next()
        made.end_of_stdin()
        assert peer.closed() == 1012
        assert made.status() == 0
        assert made.errors() == ""


def test_the_oldest_that_runs(folder: Path) -> None:
    """Requests are answered, and what is missing is said."""
    version = claimed(r"down to (\d+\.\d+)") + ".0"
    install(version, folder)
    with serving(APP) as made:
        conn = made.connect()
        conn.send(method="POST", body=b"x" * 100_000)
        assert conn.response()[2] == f'["{version}",100000,null]'.encode()
        made.end_of_stdin()
        assert made.status() == 0
        assert "the application's uvicorn is old" in made.errors()
