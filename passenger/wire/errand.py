"""The request by which a process is asked for out-of-band work, in either protocol. Any answer says that it is done.

Rules.
1. It carries the connect password: whatever a client sends, it cannot be this request.
2. Over HTTP it is one that every parser takes, and nobody sends by chance.
"""

from __future__ import annotations

from typing import Final

from passenger.wire.session import framed

TARGET: Final = b"/-passenger/oob-work"
HEADER: Final = b"X-Passenger-OOB-Work"


def request(protocol: str, password: bytes) -> bytes:
    """Its bytes. `protocol`: that of the socket, `session` or `http_session`."""
    if protocol == "session":
        return framed(b"REQUEST_METHOD\0OOBW\0", password)
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b: %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (
        TARGET,
        HEADER,
        password,
    )
