"""A WSGI loader under test: started by hand, spoken to over the session protocol, one connection at a time."""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from passenger import resources
from tests.support.folders import remove

PASSWORD = "secret"
DEADLINE = 60.0


class Connection:
    """One kept-alive connection to a loader."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.bind("")  # an address of the kernel's choice, as the core does it
        self.sock.connect(path)
        self._held = b""

    def send(self, head: Mapping[str, str] | None = None, body: bytes = b"", *, password: str = PASSWORD) -> None:
        """A request; a body sets CONTENT_LENGTH unless `head` does."""
        self.sock.sendall(request(head, body, password=password))

    def head(self) -> tuple[str, dict[str, str]]:
        """Status and headers (names in lower case) of the next response."""
        while b"\r\n\r\n" not in self._held:
            piece = self.sock.recv(65536)
            if not piece:
                raise ConnectionError(f"the response ended in its head: {self._held!r}")
            self._held += piece
        text, _, self._held = self._held.partition(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 ")
        return first[9:], {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def take(self, count: int) -> bytes:
        """So many bytes. Raises ConnectionError when there are fewer."""
        while len(self._held) < count:
            piece = self.sock.recv(65536)
            if not piece:
                raise ConnectionError(f"cut: {len(self._held)} of {count} bytes")
            self._held += piece
        data, self._held = self._held[:count], self._held[count:]
        return data

    def chunked(self) -> bytes:
        """A chunked body. Raises ConnectionError when the last chunk does not come."""
        body = b""
        while True:
            line = b""
            while not line.endswith(b"\r\n"):
                line += self.take(1)
            size = int(line, 16)
            body += self.take(size)
            assert self.take(2) == b"\r\n"
            if size == 0:
                return body

    def response(self, *, body: bool = True) -> tuple[str, dict[str, str], bytes]:
        """The next response, whole."""
        status, headers = self.head()
        if not body:
            return status, headers, b""
        if "content-length" in headers:
            return status, headers, self.take(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, self.chunked()
        return status, headers, b""

    def is_closed(self) -> bool:
        """Whether the loader ends the connection now, with nothing more on it (waits for it)."""
        try:
            return self._held + self.sock.recv(65536) == b""
        except ConnectionResetError:
            return True

    def name(self) -> str:
        """What `interrupt` calls it."""
        address: bytes = self.sock.getsockname()
        return address[1:].decode()

    def close(self) -> None:
        self.sock.close()


class Loader:
    """A loader that is ready."""

    def __init__(self, folder: Path, *, threads: int = 1, python: str = sys.executable, entry_point: str = "") -> None:
        script = resources.helper_script("wsgi_loader.py")
        self.folder = folder
        self.stderr = os.memfd_create("stderr")
        self._connections: list[Connection] = []
        self.process = subprocess.Popen(
            [python, str(script)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"!> I have control 1.0\n"
        pairs = {
            "socket_dir": str(folder),
            "connect_password": PASSWORD,
            "thread_count": str(threads),
            "entry_point": entry_point,
            "surprise": "a:b:c",
        }
        lines = "".join(f"{key}: {value}\n" for key, value in pairs.items() if value)
        self.process.stdin.write(f"You have control 1.0\n{lines}\n".encode())
        self.process.stdin.flush()
        self.said = []
        for line in self.process.stdout:
            self.said.append(line.decode())
            if line == b"!> \n":
                break
        (announced,) = [line for line in self.said if line.startswith("!> socket: ")]
        self.path = announced.split(";")[1].removeprefix("unix:")

    def connect(self) -> Connection:
        connection = Connection(self.path)
        self._connections.append(connection)
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

    def interrupt(self, connection: Connection) -> None:
        """What the core says when a request has run too long."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"interrupt {connection.name()}\n".encode())
        self.process.stdin.flush()

    def end_of_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def status(self) -> int:
        """Its exit status, within the deadline."""
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.process.kill()
        self.process.wait(DEADLINE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        os.close(self.stderr)


@contextmanager
def loader(
    source: str,
    *,
    threads: int = 1,
    python: str = sys.executable,
    entry_point: str = "",
    before: Callable[[Path], None] = lambda _folder: None,
) -> Iterator[Loader]:
    """A loader with the given `passenger_wsgi.py`. `before` may put more into its folder."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    before(folder)
    (folder / "passenger_wsgi.py").write_text(source)
    made = Loader(folder, threads=threads, python=python, entry_point=entry_point)
    try:
        yield made
    finally:
        made.close()
        remove(folder)


def request(head: Mapping[str, str] | None = None, body: bytes = b"", *, password: str = PASSWORD) -> bytes:
    """A request as bytes."""
    pairs = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
    }
    if body:
        pairs |= {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))}
    pairs |= {**(head or {}), "PASSENGER_CONNECT_PASSWORD": password}
    block = "".join(f"{name}\0{value}\0" for name, value in pairs.items()).encode("latin-1")
    return struct.pack(">I", len(block)) + block + body
