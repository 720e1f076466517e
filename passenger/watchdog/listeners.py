"""The TCP addresses that clients connect to: bound by the watchdog, inherited by every nginx, closed at the drain.

Rule: a change is all or nothing; when one address cannot be bound, none of the new ones stays bound.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Final

from passenger.errors import HostError
from passenger.instance.plan import Listen
from passenger.posix.sockets import bind_tcp, shown_address, usable_backlog

ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


class Listeners:
    """The bound addresses."""

    def __init__(self) -> None:
        self._sockets: dict[Listen, socket.socket] = {}

    def add(self, wanted: Iterable[Listen]) -> list[Listen]:
        """Bind those that are not bound yet; returns them. Raises HostError."""
        added: list[Listen] = []
        try:
            for listen in wanted:
                if listen not in self._sockets:
                    self._check_overlap(listen)
                    self._sockets[listen] = bind_tcp(listen.host, listen.port, backlog=usable_backlog())
                    added.append(listen)
        except HostError:
            self.drop(added)
            raise
        return added

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
