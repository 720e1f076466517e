"""The core's end of the channel to the watchdog: events up, commands down, EOF = the watchdog died.

Rules.
1. Messages are those of `passenger.wire.control`; an unknown command is logged and left alone.
2. Sending never blocks the loop: the messages are small, and a watchdog that does not read for so long that the
   socket buffer is full is as good as dead.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.errors import ProtocolError
from passenger.log import Log
from passenger.wire.control import Decoder, encode

MAX_DESCRIPTORS: Final = 1


class Feedback:
    """Calls `on_command` for each command and `on_death` once when the watchdog is gone.

    A descriptor that comes with a command is given to `on_descriptor` before the command is.
    """

    def __init__(
        self,
        channel: socket.socket,
        *,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        on_command: Callable[[dict[str, Any]], None],
        on_death: Callable[[], None],
        on_descriptor: Callable[[int], None] = os.close,
    ) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._loop = loop
        self._log = log
        self._on_command = on_command
        self._on_death = on_death
        self._on_descriptor = on_descriptor
        self._decoder = Decoder()
        loop.add_reader(channel.fileno(), self._readable)

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell the watchdog. A dead one is noticed by the reader, not here."""
        if self._channel.fileno() < 0:
            return
        try:
            self._channel.setblocking(True)
            self._channel.settimeout(5.0)
            self._channel.sendall(encode(message))
        except OSError as error:
            self._log.warn("the watchdog does not listen", reason=str(error))
        finally:
            self._channel.setblocking(False)

    def close(self) -> None:
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()

    def _readable(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, 65536, MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            self._on_descriptor(descriptor)
        if not data:
            self.close()
            self._on_death()
            return
        try:
            commands = self._decoder.feed(data)
        except ProtocolError as error:
            self._log.error("the watchdog sent no control message", reason=str(error))
            return
        for command in commands:
            self._on_command(command)
