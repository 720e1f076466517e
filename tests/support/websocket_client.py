"""A small WebSocket client (RFC 6455) for tests: text messages and closing, over any connected socket."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE = 1, 8


class WebSocket:
    """The client's side of one WebSocket."""

    def __init__(self, sock: socket.socket, path: str = "/") -> None:
        self._sock = sock
        self._held = b""
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        sock.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._held:
            self._held += self._receive()
        answer, _, self._held = self._held.partition(b"\r\n\r\n")
        accept = base64.b64encode(hashlib.sha1(f"{key}{GUID}".encode()).digest())
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        assert accept in answer

    def send(self, text: str) -> None:
        self._frame(TEXT, text.encode())

    def receive(self) -> str:
        """The next message."""
        opcode, data = self._next()
        assert opcode == TEXT, (opcode, data)
        return data.decode()

    def closed(self) -> int:
        """The status of the Close that comes next; it is answered, and the connection must end then."""
        opcode, data = self._next()
        assert opcode == CLOSE, (opcode, data)
        self._frame(CLOSE, data[:2])
        self.ended()
        (status,) = struct.unpack(">H", data[:2])
        return int(status)

    def close(self, status: int = 1000) -> None:
        self._frame(CLOSE, struct.pack(">H", status))

    def ended(self) -> None:
        """Wait for the end of the connection."""
        try:
            while self._sock.recv(65536):
                continue
        except ConnectionResetError:  # both sides have said goodbye; who closes with our last bytes unread resets
            return
        finally:
            self._sock.close()

    def _frame(self, opcode: int, data: bytes) -> None:
        mask = os.urandom(4)
        length = len(data)
        head = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + struct.pack(">H", length)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self._sock.sendall(bytes([0x80 | opcode]) + head + mask + masked)

    def _next(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        return first & 0x0F, self._take(length)

    def _take(self, count: int) -> bytes:
        while len(self._held) < count:
            self._held += self._receive()
        data, self._held = self._held[:count], self._held[count:]
        return data

    def _receive(self) -> bytes:
        piece = self._sock.recv(65536)
        if not piece:
            raise ConnectionError(f"the connection ended; held: {self._held!r}")
        return piece
