"""Real spawns for tests: a place that any user can reach, applications in it, and a log that can be read."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from passenger import resources
from passenger.clock import SystemClock
from passenger.config.accounts import Account, SystemAccounts
from passenger.config.model import App, EnvValue
from passenger.log import Log
from passenger.spawn.direct import DirectSpawner
from passenger.spawn.running import StartedProcess
from passenger.spawn.spawner import Exit, SpawnError
from passenger.spawn.spec import SpawnContext, system_context
from tests.support.folders import remove

T = TypeVar("T")

HELLO = """
from wsgiref.validate import validator
@validator
def application(environ, start_response):
    body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [body]
"""


class TestAccounts(SystemAccounts):
    """The machine's accounts, some of them with another home or shell."""

    __test__ = False

    def __init__(self, changed: Mapping[str, Account]) -> None:
        self._changed = changed

    def user(self, name: str) -> Account | None:
        return self._changed.get(name) or super().user(name)

    def user_by_id(self, uid: int) -> Account | None:
        found = super().user_by_id(uid)
        return None if found is None else self._changed.get(found.name, found)


class Place:
    """A folder for one test: applications, the folder for their sockets, helper scripts that any user can read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sockets = root / "s"
        self.sockets.mkdir()
        self.sockets.chmod(0o1733 if os.geteuid() == 0 else 0o700)
        shutil.copytree(resources.folder("helper_scripts"), root / "h", ignore=shutil.ignore_patterns("__pycache__"))
        self.python = reachable_python()
        self.log_fd = os.memfd_create("log")
        self.home: str | None = None
        """HOME of the one who runs everything, where nobody is switched."""

    def app(self, name: str, files: Mapping[str, str] | None = None, **keys: Any) -> App:
        """An application of the given files, owned by nobody when that is who it will run as."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        for path, text in (files if files is not None else {"passenger_wsgi.py": HELLO}).items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        keys.setdefault("start_timeout", 60.0)  # of a busy machine
        keys["env"] = {key: EnvValue(value) for key, value in keys.get("env", {}).items()}
        return App(app_root=str(folder), **keys)

    def script(self, name: str, text: str) -> str:
        """An executable file that anybody may run: a stand-in for an interpreter."""
        path = self.root / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def context(self, **changes: Any) -> SpawnContext:
        found = system_context(
            socket_dir=str(self.sockets), version="0", log_level="info", default_user="nobody", default_group=None
        )
        if self.home is not None:
            changes["environ"] = {**changes.get("environ", os.environ), "HOME": self.home}
        changes = {"python": self.python, "helper_scripts": str(self.root / "h"), **changes}
        return dataclasses.replace(found, **changes)

    def socket_names(self) -> list[str]:
        return [path.name for path in self.sockets.iterdir()]

    def log_text(self) -> str:
        return os.pread(self.log_fd, 10_000_000, 0).decode()

    def spawner(self, app: App, *, form: str = "text", **changes: Any) -> DirectSpawner:
        """A spawner on the running loop."""
        return DirectSpawner(
            name="blog",
            app=app,
            context=self.context(**changes),
            loop=asyncio.get_running_loop(),
            clock=SystemClock(),
            log=Log(component="core", fd=self.log_fd, form=form),
        )

    def fails(self, app: App, **changes: Any) -> SpawnError:
        """The error of a spawn that must fail, and that must leave no process and no socket behind."""

        async def attempt() -> SpawnError:
            spawner = self.spawner(app, **changes)
            before = descriptors(os.getpid())
            try:
                process = await spawner.spawn()
            except SpawnError as error:
                assert descriptors(os.getpid()) <= before
                return error
            await stopped(process)
            raise AssertionError("the spawn did not fail")

        error = run(attempt())
        assert self.socket_names() == []
        first, *explained = [line for line in self.log_text().splitlines() if f"error_id={error.error_id}" in line]
        assert all(" app=blog " in line for line in (first, *explained)), "or `passenger logs --app` would not show why"
        assert error.summary.splitlines()[0][:40] in first
        assert len(explained) == len(error.explanation.splitlines()), (
            "what the loader said is in the log, line for line"
        )
        return error


@contextmanager
def place() -> Iterator[Place]:
    """A Place that lives as long as the test."""
    root = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="pp"))
    root.chmod(0o755)
    made = Place(root)
    try:
        yield made
    finally:
        os.close(made.log_fd)
        remove(root)


def reachable_python() -> str:
    """A Python that any user of the machine can execute."""
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        path = Path(candidate)
        if path.exists() and all(folder.stat().st_mode & 1 for folder in path.parents):
            return candidate
    raise AssertionError("no python3 that other users can reach: install the system's python3")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop, as the core does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def exited(process: StartedProcess) -> Exit:
    """The exit of a process, within ten seconds."""
    future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
    process.when_exited(future.set_result)
    async with asyncio.timeout(10):
        return await future


async def stopped(process: StartedProcess) -> Exit:
    """Stop a process as the pool does, and dispose of it."""
    process.request_stop()
    end = await exited(process)
    process.dispose()
    return end


async def readable(fd: int) -> None:
    """Wait until a descriptor can be read (a pidfd: until the process is dead), at most ten seconds."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        async with asyncio.timeout(10):
            await event.wait()
    finally:
        loop.remove_reader(fd)


async def turns(count: int) -> None:
    """Let the loop go round."""
    for _ in range(count):
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def proc_text(pid: int, name: str) -> str:
    """A file of /proc/PID."""
    return Path(f"/proc/{pid}/{name}").read_text()


def ask(process: StartedProcess, path: str = "/") -> bytes:
    """One request over the session protocol."""
    head = f"REQUEST_METHOD\0GET\0PATH_INFO\0{path}\0PASSENGER_CONNECT_PASSWORD\0{process.connect_password}\0".encode()
    with socket.socket(socket.AF_UNIX) as conn:
        conn.settimeout(10)
        conn.connect(process.sockets[0].address.removeprefix("unix:"))
        conn.sendall(struct.pack(">I", len(head)) + head)
        conn.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := conn.recv(65536):
            answer += piece
        return answer
