"""SCGI framing: where the head of a request ends in the bytes received so far.

    "<length>:" <length bytes of NAME NUL VALUE NUL ...> ","  <body>

Rules.
1. A function of the prefix alone: feeding byte by byte or all at once gives the same answer.
2. The length is plain decimal digits without sign, blank or leading zero, and is checked against the cap before
   anything of that size is kept (fault matrix F3, E4).
3. Every refusal is a ScgiError; nothing else leaves this module.
"""

from __future__ import annotations

from typing import Final

from passenger.errors import ProtocolError

MAX_LENGTH_DIGITS: Final = 9
LONGEST_PREFIX: Final = MAX_LENGTH_DIGITS + 1
"""Bytes in which the length and its colon must be over. No valid request is shorter than this."""

NEED_MORE: Final = (0, 0)


class ScgiError(ProtocolError):
    """The bytes are no request that we take. The message says why, without quoting the request."""


def extent(data: bytes | bytearray, max_head: int) -> tuple[int, int]:
    """(start of the header block, end of the netstring with its comma), or NEED_MORE.

    The end may lie behind the data at hand. Raises ScgiError.
    """
    colon = data.find(b":", 0, LONGEST_PREFIX)
    digits = data[:colon] if colon >= 0 else data[:LONGEST_PREFIX]
    if not digits.isdigit() or digits[0] == 0x30:
        if digits or colon >= 0:
            raise ScgiError("the request does not begin with the length of its head")
        return NEED_MORE
    if colon < 0:
        if len(data) >= LONGEST_PREFIX:
            raise ScgiError("the length of the request head has too many digits")
        return NEED_MORE
    length = int(digits)
    if length > max_head:
        raise ScgiError(f"the request head is longer than {max_head} bytes")
    return colon + 1, colon + length + 2
