"""The connection to a process over which an upgrade is asked for. Always a new one: after a 101 it is the tunnel's.

Rules.
1. Interim heads before the answer are dropped. An answer other than 101 is an ordinary response, and the end of it.
2. At a 101 the socket changes hands: nothing of this object refers to it any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from passenger.request.httpconnection import HttpConnection
from passenger.wire.http1 import BadResponse, head_end
from passenger.wire.switching import is_switching, switching_head

if TYPE_CHECKING:
    import socket

    from passenger.pool.session import Session

MAX_INTERIM: Final = 16


class Switcher(Protocol):
    """The client whose connection becomes a tunnel."""

    def switched(self, sock: socket.socket, session: Session, head: bytes, rest: bytes) -> None:
        """The process agreed. `rest` came behind its head. Socket and session are the client's from now on."""
        ...


class UpgradeConnection(HttpConnection):
    """One upgrade request."""

    __slots__ = ("_head", "_interim", "_is_decided", "_protocol", "_switcher")

    def __init__(self, *args: Any, protocol: bytes, switcher: Switcher, **parts: Any) -> None:
        super().__init__(*args, **parts)
        self._protocol = protocol
        self._switcher = switcher
        self._head = b""
        self._interim = 0
        self._is_decided = False

    def _received(self, data: bytes) -> None:
        if self._is_decided or self._client is None:
            super()._received(data)
            return
        self._head += data
        try:
            end = self._answer_end()
            if not end:
                return
            if is_switching(self._head):
                head = switching_head(self._head[:end], self._protocol)
                self._switch(head, self._head[end:])
                return
        except BadResponse as error:
            self._warn(error.message, self._head[:256].decode("latin-1"))
            self._fail(error.message)
            return
        self._is_decided = True
        super()._received(self._head)

    def _answer_end(self) -> int:
        """End of the first head that is not interim, 0 = it has not come. Raises BadResponse."""
        while end := head_end(self._head):
            if self._head[9:10] != b"1" or is_switching(self._head):
                return end
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadResponse("too many interim responses")
            self._head = self._head[end:]
        return 0

    def _park(self) -> None:
        self.close()

    def _switch(self, head: bytes, rest: bytes) -> None:
        session = self._session
        assert session is not None
        self._client = self._session = None
        self._drop_backlog()
        self._switcher.switched(self._released(), session, head, rest)
