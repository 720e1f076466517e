"""A scratch SCGI server in threads: what a rendered nginx is tried against when there is no core."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class ScgiRequest:
    """One request as it came in."""

    pairs: tuple[tuple[str, str], ...]
    body: bytes
    number: int
    """How many requests with this REQUEST_URI came before it, plus one."""

    def __getitem__(self, name: str) -> str:
        return next(value for key, value in self.pairs if key == name)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.pairs]


Answer = Callable[[ScgiRequest], bytes | None]
"""The whole response, or None to reset the connection."""


def echo(request: ScgiRequest) -> bytes:
    """Answer with the request itself, as JSON."""
    said = {"pairs": request.pairs, "body": request.body.decode("latin-1")}
    return b"Status: 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(said).encode()


@dataclass
class ScgiBackend:
    """Listens on a Unix socket until closed."""

    path: str
    answer: Answer = echo
    leave_a_byte: bool = False
    """Close with one byte of the request body unread, which resets the connection."""
    seen: list[ScgiRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        Path(self.path).chmod(0o666)
        self._socket.listen(128)
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._socket.close()
        Path(self.path).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            digits = bytearray()
            while (byte := _exactly(connection, 1)) != b":":
                if not byte:
                    return
                digits += byte
            words = _exactly(connection, int(digits) + 1)[:-2].decode("latin-1").split("\0")
            pairs = tuple(zip(words[::2], words[1::2], strict=True))
            body = _exactly(connection, int(dict(pairs)["CONTENT_LENGTH"]) - self.leave_a_byte)
            uri = dict(pairs)["REQUEST_URI"]
            with self._lock:
                number = 1 + sum(request["REQUEST_URI"] == uri for request in self.seen)
                request = ScgiRequest(pairs=pairs, body=body, number=number)
                self.seen.append(request)
            answer = self.answer(request)
            if answer is not None:
                connection.sendall(answer)


def _exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes and not one more; fewer at the end of the stream."""
    data = bytearray()
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return bytes(data)
