"""A cut response must never look complete: this module owns the bytes of a request that are left unread on purpose.

nginx takes a response without Content-Length as complete when the connection ends cleanly, so a core that dies or gives
up in the middle would truncate silently (fact N1). But a Unix socket that is closed, by us or by the kernel after a
crash, while a byte of the request is still unread gives the web server ECONNRESET, and it cuts its client (fact N2).

Rules.
1. From the first byte of a response until its last one was written, at least one byte of the request stays unread.
   A small request is only looked at (MSG_PEEK) and stays unread as a whole; of a long one all but the last byte is
   taken.
2. `complete` is the only function that takes the last byte, and only a whole response is followed by it.
3. `cut` closes and leaves the byte where it is. So does the kernel when the core is killed.
4. Descriptors of the web server's connections are never duplicated: a copy elsewhere would keep the connection open.
"""

from __future__ import annotations

import socket
from socket import SocketType
from typing import Final

LOOK: Final = 16 * 1024
"""Most bytes of a request that are looked at in one go; a longer one is read piece by piece."""

_TAKE: Final = socket.MSG_DONTWAIT
_PEEK: Final = socket.MSG_PEEK | socket.MSG_DONTWAIT


def look(sock: SocketType) -> bytes:
    """What has arrived, left unread. b"" = the peer has closed. Raises BlockingIOError when nothing has."""
    return sock.recv(LOOK, _PEEK)


def take(sock: SocketType, count: int) -> bytes:
    """Take at most `count` bytes, of which the caller knows that more of the request follow behind them."""
    return sock.recv(count, _TAKE)


def all_but_last(sock: SocketType, left: int, most: int) -> bytes:
    """The next piece of a request with `left` bytes to come: taken, but for the last byte, which is only looked at."""
    if left > 1:
        return sock.recv(min(left - 1, most), _TAKE)
    return sock.recv(1, _PEEK)


def complete(sock: SocketType, held: int) -> None:
    """The response is whole: take the `held` bytes that were left unread, and close. Never raises."""
    try:
        while held > 0 and (taken := len(sock.recv(held, _TAKE))):
            held -= taken
    except OSError:  # the peer has gone: there is nobody left to be misled
        held = 0
    sock.close()


def cut(sock: SocketType) -> None:
    """Give up in the middle: the web server sees a reset and aborts its client."""
    sock.close()
