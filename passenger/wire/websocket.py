"""As much of WebSocket (RFC 6455, 5.2) as it takes to end one politely: where frames end, and the Close frame.

Rules.
1. Only the lengths in frame headers are looked at; payload, masks, extensions and fragmentation are not ours.
2. Any split of the stream gives the same answer; at most one frame header (14 bytes) is kept.
3. Small frames that come many at a time are the expensive case: each costs one turn of one short loop, about a
   twentieth of what it costs to pass on a message that comes alone.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

GOING_AWAY: Final = 1001
"""The server goes down."""
SERVICE_RESTART: Final = 1012
"""The process is replaced; the client should connect again."""

_CLOSE: Final = Struct("!BBH")
_CLOSE_OPCODE: Final = 8
_EXTENDED: Final = {126: 2, 127: 8}
_MEDIUM: Final = 126
"""Second byte of a header that two bytes of length follow; above it there are more, or a mask."""


def close_frame(status: int) -> bytes:
    """An unmasked Close frame, as a server sends it."""
    return _CLOSE.pack(0x80 | _CLOSE_OPCODE, 2, status)


class FrameBoundaries:
    """Follows one direction of a WebSocket."""

    __slots__ = ("_header", "_left", "closing")

    def __init__(self) -> None:
        self._header = b""
        """The beginning of a frame header that is not whole yet."""
        self._left = 0
        """Bytes of the payload that are still to come."""
        self.closing = False
        """A Close frame has begun; no other may follow."""

    @property
    def at_boundary(self) -> bool:
        return not self._left and not self._header

    def follow(self, data: bytes) -> None:
        """All of these bytes were passed on."""
        at, size = 0, len(data)
        while at < size:
            if not self._left and not self._header:
                at = self._skip_small(data, at, size)
                if at >= size:
                    self._left = at - size
                    return
            at = self._advance(data, at)

    def _skip_small(self, data: bytes, at: int, size: int) -> int:
        """Past frames without a mask below 64 KiB; the end of the last one may lie behind the data (rule 3)."""
        closing = False
        while at + 4 <= size and (length := data[at + 1]) <= _MEDIUM:
            if data[at] & 0x0F == _CLOSE_OPCODE:
                closing = True
            at += length + 2 if length < _MEDIUM else (data[at + 2] << 8 | data[at + 3]) + 4
        if closing:
            self.closing = True
        return at

    def finish(self, data: bytes) -> int:
        """Follow up to the end of the present frame only; returns how many bytes that are."""
        at = 0
        while at < len(data) and not self.at_boundary:
            at = self._advance(data, at)
        return at

    def _advance(self, data: bytes, at: int) -> int:
        """Take the rest of a payload, or of a header; returns the index behind it."""
        if self._left:
            step = min(self._left, len(data) - at)
            self._left -= step
            return at + step
        known = len(self._header)
        header = self._header + data[at : at + 14 - known]
        size = _header_size(header)
        if len(header) < size:
            self._header = header
            return len(data)
        self._header = b""
        length = header[1] & 0x7F
        extended = _EXTENDED.get(length)
        self._left = int.from_bytes(header[2 : 2 + extended], "big") if extended else length
        self.closing = self.closing or header[0] & 0x0F == _CLOSE_OPCODE
        return at + size - known


def _header_size(header: bytes) -> int:
    """Size of the header that begins so; 2 while that cannot be known."""
    if len(header) < 2:
        return 2
    return 2 + _EXTENDED.get(header[1] & 0x7F, 0) + (4 if header[1] & 0x80 else 0)
