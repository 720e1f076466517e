"""Messages of the sd_notify protocol on their way: one datagram each, to the service manager or to our own parent."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Final

from passenger.log import Log

PATIENCE: Final = 1.0
"""Seconds that a service manager may take to read; longer, and the message is lost rather than everything held up."""


class Notifier:
    """Sends, or does nothing without somebody to send to."""

    def __init__(self, *, address: str, fd: int | None, log: Log) -> None:
        self.is_wanted = bool(address) or fd is not None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._fd = fd
        self._log = log
        self._is_lost = False

    def tell(self, messages: Iterable[str]) -> None:
        if not self.is_wanted:
            return
        for message in messages:
            try:
                self._send(message.encode("utf-8", "replace"))
            except OSError as error:
                if not self._is_lost:
                    self._log.warn("the service manager does not hear us", reason=error.strerror or str(error))
                self._is_lost = True
            else:
                self._is_lost = False

    def _send(self, data: bytes) -> None:
        if self._fd is not None:
            with socket.socket(fileno=self._fd) as ours:
                try:
                    ours.send(data, socket.MSG_DONTWAIT)
                finally:
                    ours.detach()
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.settimeout(PATIENCE)
            ours.sendto(data, self._address)
