"""An ASGI loader under test: started by hand, spoken to in HTTP/1.1 and in WebSocket frames on its Unix socket."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, RejectConnection, Request

from passenger import resources
from tests.support.folders import remove

DEADLINE = 60.0
OURS = sysconfig.get_path("purelib")
"""Where Passenger's own uvicorn is."""


class Answers:
    """One kept-alive HTTP/1.1 connection to a loader."""

    def __init__(self, path: str) -> None:
        self.sock = connected(path)
        self._held = bytearray()

    def send(
        self, target: str = "/", *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """A request."""
        pairs = {"Host": "blog.example.com", **(headers or {})}
        if body:
            pairs["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in pairs.items())
        self.sock.sendall(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers (names in lower case) of the next response."""
        text = self.until(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 ")
        return int(first[9:12]), {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}

    def until(self, mark: bytes) -> bytes:
        """What comes before the mark. Raises ConnectionError when it does not come."""
        while mark not in self._held:
            self._more()
        return self.take(self._held.index(mark) + len(mark))[: -len(mark)]

    def take(self, count: int) -> bytes:
        """So many bytes. Raises ConnectionError when there are fewer."""
        while len(self._held) < count:
            self._more()
        data = bytes(self._held[:count])
        del self._held[:count]
        return data

    def chunk(self) -> bytes:
        """The next chunk of a body, b"" for the last one."""
        data = self.take(int(self.until(b"\r\n"), 16))
        assert self.take(2) == b"\r\n"
        return data

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """The next response, whole."""
        status, headers = self.head()
        if "content-length" in headers:
            return status, headers, self.take(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join(iter(self.chunk, b""))
        return status, headers, b""

    def get(self, target: str = "/", headers: Mapping[str, str] | None = None) -> bytes:
        """The body of a response with status 200."""
        self.send(target, headers=headers)
        status, _, body = self.response()
        assert status == 200, body
        return body

    def is_closed(self) -> bool:
        """Whether the loader ends the connection now, with nothing more on it (waits for it)."""
        try:
            return self._held + self.sock.recv(65536) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.sock.close()

    def _more(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionError(f"cut after {bytes(self._held[-100:])!r}")
        self._held += piece


class WebSocket:
    """A WebSocket client on a loader's socket."""

    def __init__(
        self, path: str, target: str, *, headers: list[tuple[bytes, bytes]], subprotocols: Sequence[str]
    ) -> None:
        self.sock = connected(path)
        self._conn = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        wanted = Request(host="blog.example.com", target=target, extra_headers=headers, subprotocols=list(subprotocols))
        self.send(wanted)

    def shake_hands(self) -> None:
        """Wait for the answer to the upgrade, kept in `answer`."""
        self.answer = self.next()
        assert isinstance(self.answer, (AcceptConnection, RejectConnection))

    def send(self, event: Event) -> None:
        self.sock.sendall(self._conn.send(event))

    def next(self) -> Event:
        """The next event; ConnectionError when the connection ends first."""
        while not self._events:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the WebSocket was cut")
            self._conn.receive_data(data)
            self._events = list(self._conn.events())
        return self._events.pop(0)

    def closed(self) -> int:
        """The code with which the other side closes."""
        event = self.next()
        assert isinstance(event, CloseConnection)
        return event.code

    def close(self) -> None:
        self.sock.close()


class AsgiLoader:
    """A loader, from its start on."""

    def __init__(
        self,
        folder: Path,
        *,
        python: str = sys.executable,
        options: Mapping[str, str] | None = None,
        script: str = "asgi_loader.py",
        user: int | None = None,
    ) -> None:
        self.folder = folder
        self.stderr = os.memfd_create("stderr")
        self._open: list[Answers | WebSocket] = []
        self.process = subprocess.Popen(
            [python, str(resources.helper_script(script))],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            user=user,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"!> I have control 1.0\n"
        pairs = {"socket_dir": str(folder), "startup_file": "passenger_asgi.py", **(options or {})}
        lines = "".join(f"{key}: {value}\n" for key, value in pairs.items() if value)
        self.process.stdin.write(f"You have control 1.0\n{lines}\n".encode())
        self.process.stdin.flush()

    def ready(self) -> str:
        """Wait for Ready; the fields after the address, such as `http_session;0`."""
        announced = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            assert line != b"!> Error\n", self.process.stdout.read().decode() + self.errors()
            if line.startswith(b"!> socket: main;unix:"):
                announced = line.decode().rstrip("\n")
            if line == b"!> \n":
                break
        assert announced, self.errors()
        _, self.path, rest = announced.removeprefix("!> socket: ").split(";", 2)
        self.path = self.path.removeprefix("unix:")
        return rest

    def error(self) -> str:
        """Wait for `!> Error`, and for the end; the explanation."""
        assert self.process.stdout is not None
        said = self.process.stdout.read().decode()
        before, mark, text = said.partition("!> Error\n!> \n")
        assert mark, said + self.errors()
        assert "!>" not in before
        assert self.status() == 1
        return text

    def connect(self) -> Answers:
        connection = Answers(self.path)
        self._open.append(connection)
        return connection

    def websocket(
        self,
        target: str = "/ws",
        *,
        headers: list[tuple[bytes, bytes]] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> WebSocket:
        connection = WebSocket(self.path, target, headers=headers or [], subprotocols=subprotocols)
        self._open.append(connection)
        connection.shake_hands()
        return connection

    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return os.pread(self.stderr, 1_000_000, 0).decode()

    def wait_for_error(self, text: str) -> None:
        """Until it has written that to stderr."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.errors():
            assert time.monotonic() < deadline, f"{text!r} is not in {self.errors()!r}"
            select.select([], [], [], 0.005)

    def interrupt(self, connection: Answers) -> None:
        """What the core says when a request has run too long."""
        assert self.process.stdin is not None
        address: bytes = connection.sock.getsockname()
        self.process.stdin.write(b"interrupt %b\n" % address[1:])
        self.process.stdin.flush()

    def end_of_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def status(self) -> int:
        """Its exit status, within the deadline."""
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self.process.kill()
        self.process.wait(DEADLINE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        os.close(self.stderr)


def connected(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    try:
        sock.bind("")  # an address of the kernel's choice, as the core does it
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


@contextmanager
def starting(
    files: str | Mapping[str, str],
    *,
    python: str = sys.executable,
    script: str = "asgi_loader.py",
    user: int | None = None,
    options: Mapping[str, str] | None = None,
) -> Iterator[AsgiLoader]:
    """A loader with the given files (a text alone is passenger_asgi.py), not yet ready."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    folder.chmod(0o777 if user is not None else 0o700)
    for name, text in ({"passenger_asgi.py": files} if isinstance(files, str) else files).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    made = AsgiLoader(folder, python=python, options=options, script=script, user=user)
    try:
        yield made
    finally:
        made.close()
        remove(folder)


@contextmanager
def serving(
    files: str | Mapping[str, str], *, python: str = sys.executable, options: Mapping[str, str] | None = None
) -> Iterator[AsgiLoader]:
    """A loader that is ready."""
    with starting(files, python=python, options=options) as made:
        made.ready()
        yield made
