"""A WSGI preloader under test, started and asked by hand."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from passenger import resources
from tests.support.folders import remove
from tests.support.loader import DEADLINE, PASSWORD, Connection

REQUEST = "You have control 1.0\nsocket_dir: {}\nconnect_password: {}\nthread_count: 1\n\n"


class Worker:
    """A forked process that is ready; its stdin and stdout are `conn`."""

    def __init__(self, conn: socket.socket, folder: Path) -> None:
        self.conn = conn
        lines = conn.makefile("rb")
        assert lines.readline() == b"OK\n"
        self.pid = int(lines.readline())
        assert lines.readline() == b"!> I have control 1.0\n"
        conn.sendall(REQUEST.format(folder, PASSWORD).encode())
        said = list(iter(lines.readline, b"!> \n"))
        (announced,) = [line.decode() for line in said if line.startswith(b"!> socket: ")]
        lines.close()
        self.path = announced.split(";")[1].removeprefix("unix:")
        self.pidfd = os.pidfd_open(self.pid)

    def ask(self) -> bytes:
        connection = Connection(self.path)
        try:
            connection.send()
            return connection.response()[2]
        finally:
            connection.close()

    def close(self) -> None:
        """The end of its stdin."""
        self.conn.close()


class Preloader:
    """A preloader that is ready."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.stderr = os.memfd_create("stderr")
        self.workers: list[Worker] = []
        self.process = subprocess.Popen(
            [python, str(resources.helper_script("wsgi_preloader.py"))],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"!> I have control 1.0\n"
        self.process.stdin.write(REQUEST.format(folder, PASSWORD).encode())
        self.process.stdin.flush()
        self.said = [line.decode() for line in iter(self.process.stdout.readline, b"!> \n")] + ["!> \n"]
        self.path = self.said[-2].removeprefix("!> socket: unix:").rstrip()

    def connect(self) -> socket.socket:
        conn = socket.socket(socket.AF_UNIX)
        conn.settimeout(DEADLINE)
        conn.connect(self.path)
        return conn

    def fork(self) -> Worker:
        conn = self.connect()
        conn.sendall(b"spawn\napp_root: /somewhere\n\n")
        self.workers.append(Worker(conn, self.folder))
        return self.workers[-1]

    def rest_of(self, conn: socket.socket) -> bytes:
        """Everything until the end of a connection."""
        rest = b""
        try:
            while piece := conn.recv(65536):
                rest += piece
        except ConnectionResetError:  # it closed with words of ours unread
            return rest
        return rest

    def waits_for(self, pidfd: int) -> bool:
        """Whether that process ends within the deadline; closes the pidfd."""
        ready, _, _ = select.select([pidfd], [], [], DEADLINE)
        os.close(pidfd)
        return bool(ready)

    def errors(self) -> str:
        """What it and its processes wrote to stderr so far."""
        return os.pread(self.stderr, 1_000_000, 0).decode()

    def end_of_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
            assert self.waits_for(worker.pidfd), f"process {worker.pid} does not end with its stdin"
        self.process.kill()
        self.process.wait(DEADLINE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        os.close(self.stderr)


@contextmanager
def preloader(source: str, *, python: str = sys.executable) -> Iterator[Preloader]:
    """A preloader with the given `passenger_wsgi.py`."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    (folder / "passenger_wsgi.py").write_text(source)
    made = Preloader(folder, python)
    try:
        yield made
    finally:
        made.close()
        remove(folder)
