"""A request body on its way from the web server to the process, piece by piece.

Rules.
1. One piece is under way at a time: the web server is read again when the process has taken the piece before.
2. The last byte is passed on but stays unread in the web server's socket (see `abort`).
3. A body that ends early is never passed on as complete: `client.left` half-closes instead (fault matrix E6).
"""

from __future__ import annotations

import asyncio
from socket import SocketType
from typing import Final, Protocol

from passenger.request.abort import all_but_last
from passenger.request.appconnection import AppConnection

PIECE: Final = 64 * 1024


class Uploader(Protocol):
    """Whose body it is."""

    def uploading(self) -> None:
        """A piece went through: the response timeout starts again."""
        ...

    def upload_complete(self) -> None: ...
    def left(self) -> None: ...


class Upload:
    """Copies `left` bytes. Starts reading at once; `close` ends it in any state."""

    __slots__ = ("_client", "_connection", "_fd", "_left", "_loop", "_reading", "_sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: SocketType,
        left: int,
        connection: AppConnection,
        client: Uploader,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._left = left
        self._connection = connection
        self._client = client
        self._reading = False
        self.resume()

    def resume(self) -> None:
        """The process takes more."""
        if not self._reading and self._left:
            self._reading = True
            self._loop.add_reader(self._fd, self._on_readable)

    def close(self) -> None:
        """Stop reading. Must be called before the socket is closed; idempotent."""
        self._pause()
        self._left = 0

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _on_readable(self) -> None:
        try:
            data = all_but_last(self._sock, self._left, PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._pause()
            self._client.left()
            return
        self._left -= len(data)
        last = not self._left
        if last:
            self._pause()
        taken = self._connection.send_body(data, last=last)
        if last:
            self._client.upload_complete()
        elif self._left:
            self._client.uploading()
            if not taken:
                self._pause()
