"""Does somebody accept connections on an address? Connect, send nothing, close our half, and wait for the other end.

A connection to a listening socket succeeds even when nobody accepts; the end of the stream comes only from a server
that accepted. nginx logs nothing about it. No polling: the connection waits in the accept queue until then.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final

from passenger.instance.plan import Listen
from passenger.watchdog.loop import READ, WRITE, Loop

LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - "any address" is reached by loopback


class Probe:
    """Calls `on_answer` once when the address answered; never when it does not, or after `close`."""

    def __init__(self, loop: Loop, address: Listen, *, on_answer: Callable[[], None]) -> None:
        self._loop = loop
        self._on_answer = on_answer
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.connect_ex((LOOPBACK.get(address.host, address.host), address.port))
        loop.watch(self._socket.fileno(), WRITE, self._connected)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()

    def _connected(self, _: int) -> None:
        with contextlib.suppress(OSError):  # refused: the read says so
            self._socket.shutdown(socket.SHUT_WR)
        self._loop.watch(self._socket.fileno(), READ, self._readable)

    def _readable(self, _: int) -> None:
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:  # refused or reset: nobody is there; the start deadline says so
            self._loop.unwatch(self._socket.fileno())
            return
        self.close()
        self._on_answer()
