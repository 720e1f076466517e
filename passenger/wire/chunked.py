"""The chunked transfer coding, decoded (RFC 9112, 7.1).

Rules.
1. Decoded exactly or refused with BadResponse: hexadecimal sizes without sign or prefix, CRLF line ends only.
2. Chunk extensions are dropped; one line is at most 256 bytes, all of them together at most 16 KiB more than twelve
   bytes per chunk. Trailers are dropped; at most 8 KiB (fault matrix F26).
3. Time is linear in the input, however small its pieces are; at most one line is kept between two calls.
"""

from __future__ import annotations

import re
from typing import Final

from passenger.wire.http1 import BadResponse

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_MAX_LINE: Final = 256
_PLAIN_LINE: Final = 12
_MAX_EXTENSIONS: Final = 16 * 1024
_MAX_TRAILERS: Final = 8 * 1024

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class ChunkedDecoder:
    """Bytes of the coding in, bytes of the body out. `finished` and `surplus` tell when and how it ended."""

    __slots__ = ("_carry", "_extensions", "_left", "_state", "_trailers", "surplus")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0
        self._carry = b""
        self._extensions = 0
        self._trailers = 0
        self.surplus = False
        """True when bytes came behind the end of the body."""

    @property
    def finished(self) -> bool:
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """Decode the next piece. Raises BadResponse."""
        data = self._carry + data
        self._carry = b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _DONE:
                self.surplus = True
                break
            else:
                at = self._line(data, at)
                if at < 0:
                    break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line(self, data: bytes, at: int) -> int:
        """Take one line of framing; returns the index behind it, or -1 when it is not complete yet."""
        limit = _MAX_TRAILERS if self._state == _TRAILER else _MAX_LINE
        end = data.find(b"\n", at, at + limit)
        if end < 0:
            if len(data) - at >= limit or (self._state == _DATA_END and data[at : at + 2] not in (b"\r", b"\r\n")):
                raise BadResponse("a chunk of the response is not framed correctly")
            self._carry = data[at:]
            return -1
        if end == at or data[end - 1] != 0x0D:
            raise BadResponse("a chunk of the response is not framed correctly")
        self._framing_line(data[at : end - 1])
        return end + 1

    def _framing_line(self, line: bytes) -> None:
        if self._state == _DATA_END:
            if line:
                raise BadResponse("a chunk of the response is longer than it says")
            self._state = _SIZE
        elif self._state == _SIZE:
            self._size_line(line)
        elif line:
            self._trailers += len(line)
            if self._trailers > _MAX_TRAILERS or not _TRAILER_LINE.fullmatch(line):
                raise BadResponse("malformed or too many trailers in the response")
        else:
            self._state = _DONE

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise BadResponse("a chunk of the response has no proper size")
        self._extensions += max(0, len(line) - _PLAIN_LINE)
        if self._extensions > _MAX_EXTENSIONS:
            raise BadResponse("too many chunk extensions in the response")
        self._left = int(match[1], 16)
        self._state = _DATA if self._left else _TRAILER
