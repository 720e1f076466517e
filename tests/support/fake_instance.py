"""An instance as the command line sees one: a locked directory with two sockets that answer from a table."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from passenger.config.paths import InstancePaths
from passenger.instance.registry import properties
from passenger.wire.control import Decoder, encode

Answer = Mapping[str, Any] | bytes | Callable[[], Mapping[str, Any] | bytes]
"""What a verb is answered with; bytes are sent as they are (b"" = close without a word)."""


class FakeInstance:
    """Sockets `core_api` and `watchdog_api`; `asked` holds every question as (socket name, message)."""

    def __init__(self, registry: Path, name: str, answers: Mapping[tuple[str, str], Answer], *, pid: int) -> None:
        self.name = name
        self.registry = registry
        self.paths = InstancePaths(root=str(registry / name))
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._answers = answers
        Path(self.paths.root).mkdir(0o700)
        self._lock = os.open(self.paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        found = properties(
            name=name,
            version="0.1.0",
            watchdog_pid=pid,
            created_at=1.0,
            config_files=["/etc/p.toml"],
            urls={},
            listen=[],
        )
        Path(self.paths.properties).write_text(json.dumps(found))
        Path(self.paths.creation_finalized).touch()
        self._listeners = [self._listen(path) for path in (self.paths.core_api, self.paths.watchdog_api)]

    def close(self) -> None:
        for listener, thread in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            listener.close()
        os.close(self._lock)

    def _listen(self, path: str) -> tuple[socket.socket, threading.Thread]:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=self._serve, args=(listener, Path(path).name), daemon=True)
        thread.start()
        return listener, thread

    def _serve(self, listener: socket.socket, which: str) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):  # a command that gave up waiting
                self._talk(connection, which)

    def _talk(self, connection: socket.socket, which: str) -> None:
        decoder = Decoder()
        while data := connection.recv(65536):
            for message in decoder.feed(data):
                self.asked.append((which, message))
                answer = self._answers.get((which, message["verb"]), {"ok": False, "error": "no such verb"})
                if callable(answer):
                    answer = answer()
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                    return
                connection.sendall(encode(answer))


@contextlib.contextmanager
def fake_instances(
    *names: str, answers: Mapping[tuple[str, str], Answer], pid: int | None = None
) -> Iterator[list[FakeInstance]]:
    """Instances in a registry of their own; `pid` is what they say their watchdog's is (default: this process)."""
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as registry, contextlib.ExitStack() as stack:
        made = []
        for name in names:
            instance = FakeInstance(Path(registry), name, answers, pid=pid or os.getpid())
            stack.callback(instance.close)
            made.append(instance)
        yield made
