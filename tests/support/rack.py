"""Rack loaders and preloaders under test: started by hand, spoken to over the spawn, preloader and session protocols."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from passenger import resources
from tests.support.folders import remove
from tests.support.loader import DEADLINE, PASSWORD, Connection

APPS = Path(__file__).resolve().parent.parent / "e2e" / "apps"


@dataclass(frozen=True)
class Ruby:
    """A Ruby and its Rack."""

    name: str
    rack: str
    """What its version begins with."""
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str:
        found = shutil.which("ruby")
        assert found, "no ruby: install ruby, ruby-rack, ruby-sinatra and bundler (./dev test does it for root)"
        return found


def rack2() -> Ruby:
    """Rack 2.2, from Debian 12."""
    return _with_rack("rack-2", "2.", "rack2", "bookworm")


def rack3() -> Ruby:
    """Rack 3, from Debian 13."""
    return _with_rack("rack-3", "3.", "rack3", "trixie")


def _with_rack(name: str, rack: str, folder: str, suite: str) -> Ruby:
    place = Path(sys.prefix) / folder
    gems = place / "usr/share/rubygems-integration/all"
    assert gems.is_dir(), f"no {name}: run tests/support/get_rack.sh {suite} {place} (./dev test does it)"
    (lib,) = gems.glob("gems/rack-*/lib")
    # The library by its folder as well: of several versions in GEM_PATH, Ruby would take the newest, which may be Debian's.
    return Ruby(name, rack, {"GEM_PATH": f"{gems}:{_default_gem_path()}", "RUBYLIB": str(lib)})


class Talk:
    """The spawner's side of a spawn talk, over one stream."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(DEADLINE)
        self._held = b""
        self.said: list[str] = []

    def line(self) -> str:
        """The next line. Raises EOFError at the end of the stream."""
        while b"\n" not in self._held:
            piece = self.sock.recv(65536)
            if not piece:
                raise EOFError(self._held)
            self._held += piece
        line, _, self._held = self._held.partition(b"\n")
        self.said.append(line.decode())
        return self.said[-1]

    def until(self, wanted: str) -> list[str]:
        """All lines up to the wanted one."""
        lines = [self.line()]
        while lines[-1] != wanted:
            lines.append(self.line())
        return lines

    def rest(self) -> str:
        """Everything up to the end of the stream."""
        while piece := self.sock.recv(65536):
            self._held += piece
        return self._held.decode()

    def give(self, options: Mapping[str, str], first: str = "You have control 1.0") -> None:
        """A request block."""
        lines = "".join(f"{key}: {value}\n" for key, value in options.items() if value)
        self.sock.sendall(f"{first}\n{lines}\n".encode())

    def half_close(self) -> None:
        """What a spawner does to end a process."""
        self.sock.shutdown(socket.SHUT_WR)


class Worker:
    """A process that takes requests: its talk, its socket."""

    def __init__(self, talk: Talk, connections: list[Connection]) -> None:
        self.talk = talk
        self.announced = [line for line in talk.said if line.startswith("!> socket: ")]
        (self.path,) = [line.split(";")[1].removeprefix("unix:") for line in self.announced]
        self._connections = connections

    def connect(self) -> Connection:
        connection = Connection(self.path)
        self._connections.append(connection)
        return connection


class RackProgram:
    """`rack_loader.rb` or `rack_preloader.rb` in a folder, on a socketpair as stdin and stdout."""

    def __init__(
        self, script: str, folder: Path, ruby: Ruby, env: Mapping[str, str], *, user: int | None = None
    ) -> None:
        self.folder = folder
        self.stderr = os.memfd_create("stderr")
        self.connections: list[Connection] = []
        ours, theirs = socket.socketpair()
        self.talk = Talk(ours)
        with theirs:
            self.process = subprocess.Popen(
                [ruby.program, "-w", str(resources.helper_script(script))],
                cwd=folder,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self.stderr,
                env={**os.environ, "RUBYOPT": "", **ruby.env, **env},
                user=user,
            )

    def options(self, **more: str) -> dict[str, str]:
        """A usual request."""
        return {
            "app_root": str(self.folder),
            "app_group_name": "blog",
            "app_type": "rack",
            "startup_file": "config.ru",
            "process_title": "Passenger RubyApp",
            "environment": "production",
            "socket_dir": str(self.folder),
            "connect_password": PASSWORD,
            "surprise": "a:b:c",
            **more,
        }

    def errors(self) -> str:
        """What was written to stderr so far."""
        return os.pread(self.stderr, 1_000_000, 0).decode()

    def wait_error(self, text: str) -> str:
        """Everything on stderr once `text` stands there: a program writes it after it has answered."""
        deadline = time.monotonic() + DEADLINE
        pause = threading.Event()
        while text not in (found := self.errors()):
            assert time.monotonic() < deadline, f"no {text!r} in {found!r}"
            pause.wait(0.01)
        return found

    def status(self) -> int:
        """Its exit status, within the deadline."""
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.talk.sock.close()
        self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self.stderr)


@contextmanager
def app_folder(source: str | Path) -> Iterator[Path]:
    """A folder with an application: the text of a config.ru, or a copy of a folder."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    if isinstance(source, Path):
        shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        (folder / "config.ru").write_text(source)
    try:
        yield folder
    finally:
        remove(folder)


@contextmanager
def program(
    script: str, source: str | Path, *, ruby: Ruby | None = None, env: Mapping[str, str] | None = None
) -> Iterator[RackProgram]:
    """A loader or preloader before its handshake."""
    with app_folder(source) as folder:
        made = RackProgram(script, folder, ruby or rack2(), env or {})
        try:
            yield made
        finally:
            made.close()


@contextmanager
def rack_loader(
    source: str | Path, *, threads: int = 1, ruby: Ruby | None = None, env: Mapping[str, str] | None = None
) -> Iterator[tuple[RackProgram, Worker]]:
    """A loader that is ready."""
    with program("rack_loader.rb", source, ruby=ruby, env=env) as made:
        made.talk.until("!> I have control 1.0")
        made.talk.give(made.options(thread_count=str(threads)))
        made.talk.until("!> ")
        yield made, Worker(made.talk, made.connections)


def _default_gem_path() -> str:
    found = subprocess.run(
        [Ruby("", "").program, "-e", "print Gem.path.join(':')"], check=True, capture_output=True, text=True
    )
    return found.stdout


class Preloader:
    """A preloader that is ready."""

    def __init__(self, program: RackProgram) -> None:
        self.program = program
        program.talk.until("!> I have control 1.0")
        program.talk.give(program.options())
        program.talk.until("!> ")
        (announced,) = [line for line in program.talk.said if line.startswith("!> socket: ")]
        self.path = announced.removeprefix("!> socket: unix:")
        self._talks: list[Talk] = []

    def connect(self) -> Talk:
        """A connection for commands."""
        sock = socket.socket(socket.AF_UNIX)
        talk = Talk(sock)
        self._talks.append(talk)
        sock.connect(self.path)
        return talk

    def fork(self) -> tuple[Talk, int]:
        """A worker before its handshake, and its process id."""
        talk = self.connect()
        talk.give({"app_root": str(self.program.folder), "environment": "production"}, "spawn")
        assert talk.line() == "OK"
        return talk, int(talk.line())

    def worker(self, **options: str) -> tuple[Worker, int]:
        """A worker that is ready, and its process id."""
        talk, pid = self.fork()
        assert talk.line() == "!> I have control 1.0"
        talk.give(self.program.options(**{"gupid": "x-1", **options}))
        talk.until("!> ")
        return Worker(talk, self.program.connections), pid

    def close(self) -> None:
        for talk in self._talks:
            talk.sock.close()


@contextmanager
def rack_preloader(
    source: str | Path, *, ruby: Ruby | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Preloader]:
    """A preloader that is ready; its workers end with it, because their stdin does."""
    with program("rack_preloader.rb", source, ruby=ruby, env=env) as made:
        preloader = Preloader(made)
        try:
            yield preloader
        finally:
            preloader.close()
