"""The TCP addresses that clients connect to: bound by the watchdog, inherited by every nginx, closed at the drain.

Rules.
1. A change is all or nothing; when one address cannot be bound, none of the new ones stays bound.
2. An address that the service manager listens on already (socket activation) is taken over, not bound: it stays open
   there, so that connections wait while this instance is away.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Final

from passenger.errors import HostError
from passenger.instance.plan import Listen
from passenger.log import Log
from passenger.posix.activation import address_of, takes_both_families
from passenger.posix.sockets import bind_tcp, shown_address, usable_backlog

ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class Listeners:
    """The bound addresses. `given` are descriptors of the service manager's."""

    def __init__(self, given: Iterable[int], log: Log) -> None:
        self._sockets: dict[Listen, socket.socket] = {}
        self._given = {fd: address_of(fd) for fd in given}
        self._log = log

    def add(self, wanted: Iterable[Listen]) -> list[Listen]:
        """Bind those that are not bound yet; returns them. Raises HostError."""
        added: list[Listen] = []
        try:
            for listen in wanted:
                if listen not in self._sockets:
                    self._check_overlap(listen)
                    self._sockets[listen] = self._taken_over(listen) or bind_tcp(
                        listen.host, listen.port, backlog=usable_backlog()
                    )
                    added.append(listen)
        except HostError:
            self.drop(added)
            raise
        return added

    def tell_of_strangers(self) -> None:
        """Say which descriptors of the service manager's serve nobody: clients that connect there wait for ever."""
        for fd, address in self._given.items():
            if address is None:
                self._log.warn(f"descriptor {fd} of the service manager is not used: it is no listening TCP socket")
            elif Listen(host=address[0], port=address[1]) not in self._sockets:
                self._log.warn(
                    f"the service manager listens on {shown_address(*address)}, and nobody serves it",
                    hint="remove it from passenger.socket, or add it to `nginx.listen`",
                )
            elif takes_both_families(fd):
                self._log.warn(
                    f"the socket of the service manager on {shown_address(*address)} takes IPv4, too",
                    hint="set `BindIPv6Only=ipv6-only` in passenger.socket and name each address",
                )

    def _taken_over(self, listen: Listen) -> socket.socket | None:
        for fd, address in self._given.items():
            if address == (listen.host, listen.port):
                copy = socket.socket(fileno=os.dup(fd))
                copy.setblocking(False)
                return copy
        return None

    def _check_overlap(self, listen: Listen) -> None:
        """`0.0.0.0:80` cannot be bound while we still serve `127.0.0.1:80`. Raises HostError."""
        for other in self._sockets:
            same_family = (":" in other.host) == (":" in listen.host)
            if other.port == listen.port and same_family and {other.host, listen.host} & ANY:
                raise HostError(
                    f"cannot listen on {shown_address(listen.host, listen.port)} while this instance still listens on "
                    f"{shown_address(other.host, other.port)}",
                    hint="this change of address needs a restart of the instance",
                )

    def drop(self, unwanted: Iterable[Listen]) -> None:
        for listen in list(unwanted):
            self._sockets.pop(listen).close()

    def others(self, wanted: Iterable[Listen]) -> list[Listen]:
        """Bound addresses that are not among the wanted ones."""
        kept = set(wanted)
        return [listen for listen in self._sockets if listen not in kept]

    def fds(self) -> list[int]:
        return [listener.fileno() for listener in self._sockets.values()]

    def addresses(self) -> list[Listen]:
        return list(self._sockets)

    def close(self) -> None:
        self.drop(list(self._sockets))
