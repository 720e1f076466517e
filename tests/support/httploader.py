"""A loader under test whose application speaks HTTP: started by hand, asked over its socket."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from passenger import resources
from tests.support.folders import remove

DEADLINE = 60.0


class SocketHTTP(http.client.HTTPConnection):
    """HTTP/1.1 over an announced address."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self.address = address

    def connect(self) -> None:
        self.sock = connected(self.address)

    def fetch(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of the answer, which must be 200."""
        self.request(method, path, body=body, headers=headers or {})
        answer = self.getresponse()
        data = answer.read()
        assert answer.status == 200, (answer.status, data)
        return data


class HttpLoader:
    """A started loader; `said` is what it printed up to the end of its answer."""

    def __init__(
        self, command: Sequence[str], folder: Path, options: Mapping[str, str], env: Mapping[str, str]
    ) -> None:
        self.stderr = os.memfd_create("stderr")
        self._open: list[contextlib.closing[SocketHTTP] | socket.socket] = []
        self.process = subprocess.Popen(
            list(command),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env={**os.environ, **env},
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._kill_when_late = threading.Timer(60, self.kill)
        self._kill_when_late.start()
        self.handshake = self.process.stdout.readline()
        pairs = {
            "socket_dir": str(folder),
            "app_root": str(folder),
            "app_group_name": "blog",
            "surprise": "a:b",
            **options,
        }
        block = "".join(f"{key}: {value}\n" for key, value in pairs.items() if value)
        self.process.stdin.write(f"You have control 1.0\n{block}\n".encode())
        self.process.stdin.flush()
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line.decode())
            if line == b"!> \n":
                break

    @property
    def address(self) -> str:
        """The announced address; what was said instead if there is none."""
        found = [line for line in self.said if line.startswith("!> socket: ")]
        assert len(found) == 1, (self.said, self.errors())
        name, address, protocol, concurrency = found[0].removeprefix("!> socket: ").strip().split(";")
        assert (name, protocol, concurrency) == ("main", "http_session", "0")
        return address

    def explanation(self) -> str:
        """The text behind `!> Error`, up to the end of the program."""
        assert "!> Error\n" in self.said, (self.said, self.errors())
        return self.rest()

    def rest(self) -> str:
        """What it says until it ends."""
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode()

    def http(self) -> SocketHTTP:
        """A connection of its own."""
        made = SocketHTTP(self.address)
        self._open.append(contextlib.closing(made))
        return made

    def raw(self) -> socket.socket:
        """A connection for bytes."""
        made = connected(self.address)
        self._open.append(made)
        return made

    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return os.pread(self.stderr, 1_000_000, 0).decode()

    def end_of_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def status(self) -> int:
        """Its exit status, within the deadline."""
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """It and everything in its process group."""
        self.process.kill()

    def close(self) -> None:
        self._kill_when_late.cancel()
        self._kill_when_late.join()
        for connection in self._open:
            with connection:
                pass
        self.kill()
        self.process.wait(DEADLINE)
        sweep(self.process.pid)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        os.close(self.stderr)


@contextmanager
def http_loader(
    loader: Sequence[str], files: Mapping[str, str], *, env: Mapping[str, str] | None = None, **options: str
) -> Iterator[HttpLoader]:
    """A loader (interpreter and its options, then the script's name) in a new folder with the given files."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    try:
        with started(loader, folder, env=env, **options) as made:
            yield made
    finally:
        remove(folder)


@contextmanager
def started(
    loader: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None, **options: str
) -> Iterator[HttpLoader]:
    """A loader in a folder that is there."""
    *interpreter, script = loader
    if shutil.which(interpreter[0]) is None:
        raise AssertionError(f"this test needs `{interpreter[0]}` in PATH: install it (`./dev test` does)")
    made = HttpLoader([*interpreter, str(resources.helper_script(script))], folder, options, env or {})
    try:
        yield made
    finally:
        made.close()


def connected(address: str) -> socket.socket:
    """A connection to `unix:PATH` or `tcp://HOST:PORT`."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), DEADLINE)


def members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def sweep(session: int) -> None:
    """Kill what is left of a session, as the spawner does."""
    for pid in members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
