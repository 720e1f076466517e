"""Smart spawns for tests: with the real preloader, or with one that follows a script and does what no preloader should."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from passenger.clock import SystemClock
from passenger.config.model import App
from passenger.log import Log
from passenger.spawn.smart import SmartSpawner
from tests.support.spawning import Place, descriptors, proc_text, readable, turns

HOSTILE = Path(__file__).parent.parent / "e2e" / "apps" / "hostile" / "wsgi_preloader.py"


def counting(body: str = "") -> str:
    """A startup file that notes each time it is loaded in the file `loads` beside it, and answers with its pids."""
    return f"""
import os
with open("loads", "a") as loads:
    loads.write(str(os.getpid()) + "\\n")
{body}
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    body = ("%d %d" % (os.getpid(), os.getppid())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def loads(here: Place, app: App) -> list[int]:
    """The processes that have loaded the application."""
    path = Path(app.app_root) / "loads"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def counted(here: Place, body: str = "", **keys: Any) -> App:
    """An application that notes its loads; its folder may be written by whoever runs it."""
    app = here.app("blog", {"passenger_wsgi.py": counting(body)}, **keys)
    Path(app.app_root).chmod(0o777)
    return app


def with_hostile(here: Place, deed: str, **keys: Any) -> App:
    """An application whose preloader does the given deed: see `HOSTILE`. Loaded directly it is a good one."""
    (here.root / "h" / "wsgi_preloader.py").write_bytes(HOSTILE.read_bytes())
    app = counted(here, **keys)
    deeds = Path(app.app_root) / "deeds"
    deeds.write_text(deed)
    deeds.chmod(0o666)
    return app


@asynccontextmanager
async def smart(here: Place, app: App, **changes: Any) -> AsyncIterator[SmartSpawner]:
    """A spawner; at the end it is closed, and no process of it, no socket and no descriptor may be left."""
    before = descriptors(os.getpid())
    spawner = SmartSpawner(
        name="blog",
        app=app,
        context=here.context(**changes),
        loop=asyncio.get_running_loop(),
        clock=SystemClock(),
        log=Log(component="core", fd=here.log_fd),
    )
    try:
        yield spawner
    finally:
        async with asyncio.timeout(10):
            await spawner.close()
    await turns(10)
    assert here.socket_names() == []
    assert descriptors(os.getpid()) <= before


def parent(pid: int) -> int:
    return int(proc_text(pid, "stat").rpartition(")")[2].split()[1])


def session(pid: int) -> int:
    return int(proc_text(pid, "stat").rpartition(")")[2].split()[3])


def open_file(pid: int, fd: int) -> str:
    return str(Path(f"/proc/{pid}/fd/{fd}").readlink())


async def dead(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    await readable(watch)
    os.close(watch)
