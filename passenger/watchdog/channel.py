"""Messages of `passenger.wire.control` over a stream socket of the loop, both ways, without blocking.

Rules.
1. A peer that sends something else than messages, or more than the limit, is disconnected.
2. What cannot be written now waits in memory up to MAX_PENDING bytes; a peer that never reads is disconnected.
3. `on_end` is called once, when the peer or an error ended the conversation; not for our own `close`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.errors import ProtocolError
from passenger.watchdog.loop import READ, WRITE, Loop
from passenger.wire.control import MAX_LINE, Decoder, encode

MAX_PENDING: Final = 2 * MAX_LINE


class Channel:
    """One end of a conversation; owns the socket."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        *,
        on_message: Callable[[dict[str, Any]], None],
        on_end: Callable[[str], None],
        max_line: int = MAX_LINE,
    ) -> None:
        connection.setblocking(False)
        self._loop = loop
        self._socket = connection
        self._on_message = on_message
        self._on_end = on_end
        self._decoder = Decoder(max_line=max_line)
        self._pending = bytearray()
        self._closing = False
        loop.watch(connection.fileno(), READ, self._ready)

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue a message; nothing happens on a closed channel."""
        if self.is_closed():
            return
        self._pending += encode(message)
        if len(self._pending) > MAX_PENDING:
            self._end("it does not read what is sent to it")
            return
        self._write()

    def send_descriptor(self, message: Mapping[str, Any], descriptor: int) -> bool:
        """Send a small message with a descriptor, now or not at all."""
        if self.is_closed() or self._pending:
            return False
        try:
            socket.send_fds(self._socket, [encode(message)], [descriptor])
        except OSError:  # full: the other end stands still
            return False
        return True

    def close_when_sent(self) -> None:
        """Close after the last byte went out."""
        self._closing = True
        if not self._pending:
            self.close()

    def close(self) -> None:
        if not self.is_closed():
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()

    def is_closed(self) -> bool:
        return self._socket.fileno() < 0

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._write()
        if events & READ and not self.is_closed():
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(str(error.strerror))
            return
        if not data:
            self._end("it closed the channel")
            return
        try:
            messages = self._decoder.feed(data)
        except ProtocolError as error:
            self._end(error.message)
            return
        for message in messages:
            if not self.is_closed():
                self._on_message(message)

    def _write(self) -> None:
        try:
            while self._pending:
                del self._pending[: self._socket.send(self._pending)]
        except BlockingIOError:
            pass  # the rest goes when the socket is writable
        except OSError as error:
            self._end(str(error.strerror))
            return
        if self._pending:
            self._loop.watch(self._socket.fileno(), READ | WRITE, self._ready)
        elif self._closing:
            self.close()
        else:
            self._loop.watch(self._socket.fileno(), READ, self._ready)

    def _end(self, why: str) -> None:
        if not self.is_closed():
            self.close()
            self._on_end(why)
