"""One response of an application as it arrives: bytes in, bytes for the web server out.

States: HEAD -> BODY -> COMPLETE; interim (1xx) heads are swallowed and leave the state at HEAD.

Rules.
1. Output is the cleaned head, then the body without any transfer coding; nothing comes out before the head is whole.
2. Exactly the announced number of body bytes passes; `surplus` tells of more (A12). Bodies of HEAD, 204 and 304 do not.
3. The end of the stream completes only a response that had no other way to end; `ended` says which it was.
4. BadResponse ends it; the reader must then be reset.
"""

from __future__ import annotations

from typing import Final

from passenger.wire.chunked import ChunkedDecoder
from passenger.wire.http1 import CHUNKED, UNTIL_EOF, BadResponse, head_end, parse_response_head

MAX_INTERIM: Final = 16


class ResponseReader:
    """Reads one response after another; `reset` before each."""

    __slots__ = (
        "_bodiless",
        "_buffer",
        "_chunks",
        "_interim",
        "_left",
        "begun",
        "complete",
        "reusable",
        "surplus",
        "wishes_errand",
    )

    def __init__(self) -> None:
        self.reset(bodiless=False)

    def reset(self, *, bodiless: bool) -> None:
        """Expect a new response. `bodiless` = the request is HEAD."""
        self._bodiless = bodiless
        self._buffer = b""
        self._chunks: ChunkedDecoder | None = None
        self._interim = 0
        self._left = 0
        self.begun = False
        """The head is whole, so output has begun."""
        self.complete = False
        self.reusable = False
        """The head allows another request on this connection."""
        self.wishes_errand = False
        """The head asks for out-of-band work."""
        self.surplus = False
        """More bytes came than belong to the response."""

    @property
    def received(self) -> bytes:
        """What has arrived of a head that is not whole yet."""
        return self._buffer

    def feed(self, data: bytes) -> bytes:
        """The next bytes from the application -> the next bytes for the web server. Raises BadResponse."""
        if self.begun:
            return self._body(data)
        if self._buffer:
            data = self._buffer + data
        self._buffer = data
        while end := head_end(data):
            head = parse_response_head(data[:end] if end < len(data) else data, bodiless=self._bodiless)
            if not head.interim:
                self.begun = True
                self._buffer = b""
                self.reusable = head.reusable
                self.wishes_errand = head.wishes_errand
                self._left = head.length
                return self._first(head.data, data, end)
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadResponse("too many interim responses")
            self._buffer = data = data[end:]
        return b""

    def ended(self) -> bool:
        """The application closed the stream: True when the response is whole."""
        if self.begun and self._left == UNTIL_EOF and self._chunks is None:
            self.complete = True
        return self.complete

    def _first(self, head: bytes, data: bytes, end: int) -> bytes:
        size = len(data) - end
        if self._left == CHUNKED:
            self._chunks = ChunkedDecoder()
        elif size == self._left:
            self.complete = True
            return data if len(head) == end else head + data[end:]
        return head + self._body(data[end:])

    def _body(self, data: bytes) -> bytes:
        if self._chunks is not None:
            data = self._chunks.feed(data)
            self.complete = self._chunks.finished
            self.surplus = self._chunks.surplus
        elif self._left != UNTIL_EOF:
            if len(data) > self._left:
                self.surplus = True
                data = data[: self._left]
            self._left -= len(data)
            self.complete = not self._left
        return data
