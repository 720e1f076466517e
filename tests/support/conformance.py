"""The other side of our loaders: a spawner and a core of another make, by the bytes of spawn protocol 1.0 alone.

As in Passenger 5.0: one socketpair is the loader's stdin and stdout, a pipe its stderr; a half-close ends it. Nothing
of the product is used here but the files of the loaders.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from passenger import resources
from tests.support import conformance_apps as apps
from tests.support.folders import remove
from tests.support.httploader import sweep
from tests.support.loader import DEADLINE, PASSWORD, Connection
from tests.support.loader import request as session_request
from tests.support.nodeapps import needed
from tests.support.rack import rack2


@dataclass(frozen=True, slots=True)
class Kind:
    """One of our loaders, and the same application in its language."""

    script: str
    interpreter: Callable[[], list[str]]
    startup_file: str
    source: str
    protocol: str
    concurrency: str
    options: Mapping[str, str] = field(default_factory=dict)
    env: Callable[[], Mapping[str, str]] = dict


def python() -> list[str]:
    return [sys.executable]


KINDS = {
    "wsgi": Kind("wsgi_loader.py", python, "passenger_wsgi.py", apps.WSGI, "session", "1"),
    "asgi": Kind(
        "asgi_loader.py",
        python,
        "passenger_asgi.py",
        apps.ASGI,
        "http_session",
        "0",
        {"uvicorn_path": sysconfig.get_path("purelib"), "core_uid": str(os.geteuid())},
    ),
    "rack": Kind(
        "rack_loader.rb",
        lambda: [needed("ruby", "ruby ruby-rack")],
        "config.ru",
        apps.RACK,
        "session",
        "1",
        env=lambda: {"RUBYOPT": "", **rack2().env},
    ),
    "node": Kind("node_loader.js", lambda: [needed("node", "nodejs")], "app.js", apps.NODE, "http_session", "0"),
    "generic": Kind(
        "generic_loader.py",
        lambda: [sys.executable, "-I", "-S"],
        "server.py",
        apps.GENERIC,
        "http_session",
        "0",
        {"app_start_command": f"TITLE=a:b:c {sys.executable} server.py"},
    ),
}


class Loader:
    """A loader that was started and has not been answered yet."""

    def __init__(self, kind: Kind, folder: Path, sockets: Path) -> None:
        self.kind = kind
        self.folder, self.sockets = folder, sockets
        self.connections: list[Connection] = []
        self.stderr = os.memfd_create("stderr")
        self.admin, theirs = socket.socketpair()
        self.admin.settimeout(DEADLINE)
        self._held = b""
        with theirs:
            self.process = subprocess.Popen(
                [*kind.interpreter(), str(resources.helper_script(kind.script))],
                cwd=folder,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self.stderr,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **kind.env()},
                start_new_session=True,
            )

    def until(self, mark: bytes) -> bytes:
        """What it says up to the mark, which is included. Raises EOFError with what it said instead."""
        while mark not in self._held:
            piece = self.admin.recv(65536)
            if not piece:
                raise EOFError(self._held, self.errors())
            self._held += piece
        said, mark, self._held = self._held.partition(mark)
        return said + mark

    def rest(self) -> bytes:
        """What it says until it ends."""
        while piece := self.admin.recv(65536):
            self._held += piece
        return self._held

    def give(self, **more: str) -> None:
        """The request, in the order and with the keys of Passenger 5.0, some of which our loaders do not know."""
        pairs = {
            "passenger_root": "/opt/passenger",
            "passenger_version": "5.0.10",
            "gupid": "18b2f50-Ab3dEf6hIj",
            "UNIX_PATH_MAX": "108",
            "connect_password": PASSWORD,
            "instance_dir": str(self.sockets),
            "socket_dir": str(self.sockets),
            "app_root": str(self.folder),
            "app_group_name": "/srv/a:b (production)",
            "startup_file": self.kind.startup_file,
            "process_title": "Passenger: App",
            "log_level": "3",
            "start_timeout": "90000",
            "environment": "production",
            "base_uri": "/",
            "spawn_method": "direct",
            "debugger": "false",
            "analytics": "false",
            "api_key": "0123456789abcdef",
            "a_key_of_tomorrow": "with: a colon",
            **self.kind.options,
            **more,
        }
        lines = "".join(f"{key}: {value}\n" for key, value in pairs.items())
        self.admin.sendall(f"You have control 1.0\n{lines}\n".encode())

    def ready(self) -> list[str]:
        """Through the talk to its end; the fields of its one socket line. Raises AssertionError for any other byte."""
        assert self.until(b"\n") == b"!> I have control 1.0\n"
        self.give()
        answer = self.until(b"!> \n").decode()
        found = re.search(r"\n!> Ready\n!> socket: (.+)\n!> \n\Z", answer)
        assert found, answer + self.errors()
        self.announced = found[1].split(";")
        self.path = self.announced[1].removeprefix("unix:")
        return self.announced

    def connect(self) -> Connection:
        made = Connection(self.path)
        self.connections.append(made)
        return made

    def send(self, conn: Connection, path: str, *, method: str = "GET", length: int = 0, body: bytes = b"") -> None:
        """A request of its protocol, with so much of its body."""
        if self.kind.protocol == "session":
            head = {"REQUEST_METHOD": method, "REQUEST_URI": path, "PATH_INFO": path}
            head |= {"CONTENT_LENGTH": str(length)} if length else {}
            conn.sock.sendall(session_request(head) + body)
        else:
            framing = f"Content-Length: {length}\r\n" if length else ""
            conn.sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n".encode() + body)

    def control(self, method: str) -> Connection:
        """A new connection with a control request of the session protocol on it."""
        made = self.connect()
        block = f"REQUEST_METHOD\0{method}\0PASSENGER_CONNECT_PASSWORD\0{PASSWORD}\0".encode()
        made.sock.sendall(len(block).to_bytes(4, "big") + block)
        return made

    def half_close(self) -> None:
        """What a spawner does to end a process."""
        self.admin.shutdown(socket.SHUT_WR)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def status(self) -> int:
        """Its exit status, within the deadline."""
        return self.process.wait(DEADLINE)

    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return os.pread(self.stderr, 1_000_000, 0).decode()

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(DEADLINE)
        sweep(self.process.pid)  # as a spawner does it: a command runs in a group of its own
        self.admin.close()
        os.close(self.stderr)


@contextmanager
def loader(name: str, *, source: str | None = None, socket_folder: int = 0) -> Iterator[Loader]:
    """A loader with its application; the path of the folder for its socket has at least so many bytes."""
    root = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    folder = root / "a: b"
    sockets = folder / ("s" * max(1, socket_folder - len(f"{folder}/")))
    sockets.mkdir(parents=True)
    kind = KINDS[name]
    (folder / kind.startup_file).write_text(kind.source if source is None else source)
    made = Loader(kind, folder, sockets)
    try:
        yield made
    finally:
        made.close()
        remove(root)
