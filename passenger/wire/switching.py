"""The application's answer to an upgrade request: `101 Switching Protocols`, checked and cleaned for the web server.

Rules.
1. The protocol must be the one that was asked for, and `Connection` must have the option `upgrade`; else BadResponse.
2. What belongs to a body, and what is hop-by-hop but for these two headers, is removed, as are `X-Accel-*` (N8).
"""

from __future__ import annotations

import re
from typing import Final

from passenger.wire.http1 import END, HOP_BY_HOP, BadResponse

_STATUS: Final = re.compile(rb"HTTP/1\.1 101(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_REMOVED: Final = HOP_BY_HOP | {b"content-length", b"status", b"x-sendfile"}


def is_switching(head: bytes) -> bool:
    """Whether a response head has the status 101."""
    return head[9:13] in (b"101 ", b"101\r")


def switching_head(head: bytes, protocol: bytes) -> bytes:
    """The head for the web server. Raises BadResponse."""
    line, *lines = head[: -len(END)].split(b"\r\n")
    if not _STATUS.fullmatch(line):
        raise BadResponse("the answer to the upgrade request has a malformed status line")
    fields = [_field(text) for text in lines]
    given = b", ".join(value for name, value in fields if name == b"upgrade")
    options = {o.strip().lower() for name, value in fields if name == b"connection" for o in value.split(b",")}
    if given.lower() != protocol.lower() or b"upgrade" not in options:
        raise BadResponse("the application switches to a protocol that nobody asked for")
    kept = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: " + given, b"Connection: upgrade"]
    for text, (name, _) in zip(lines, fields, strict=True):
        if name not in _REMOVED and name not in options and not name.startswith((b"x-accel-", b"!~")):
            kept.append(text)
    return b"\r\n".join(kept) + END


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise BadResponse("a malformed header line in the answer to the upgrade request")
    return match[1].lower(), match[2]
