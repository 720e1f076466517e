"""The session protocol: a request head as the application's loader reads it.

    4 bytes big-endian length, then NAME NUL VALUE NUL ..., then the body (CONTENT_LENGTH bytes, never chunked).

The block that the web server sent is passed on as received; our own pairs go in front of it, so the connect password
is at a place that a client's headers can never take.
"""

from __future__ import annotations

from struct import Struct

from passenger.wire.request_path import split_path
from passenger.wire.scgi import ScgiError
from passenger.wire.scgi_head import Head

_pack_length = Struct("!I").pack


def request_head(head: Head, base_uri: bytes) -> bytes:
    """Everything of a request that does not depend on the process: pairs without length and password.

    `base_uri` is empty for `/`. Raises ScgiError for a URI that cannot be served.
    """
    script_name, path_info = split_path(head.uri, base_uri, head.method)
    block = _without_fragment(head) if b"#" in head.uri else head.block
    if head.length:
        block = b"CONTENT_LENGTH\0%d\0%b" % (head.length, block)
    return b"SCRIPT_NAME\0%b\0PATH_INFO\0%b\0%b" % (script_name, path_info, block)


def framed(pairs: bytes, password: bytes) -> bytes:
    """The bytes for one process: length, its connect password, the pairs of `request_head`."""
    own = b"PASSENGER_CONNECT_PASSWORD\0%b\0" % password
    return b"%b%b%b" % (_pack_length(len(own) + len(pairs)), own, pairs)


def _without_fragment(head: Head) -> bytes:
    """REQUEST_URI is the first parameter of that name; `parse_head` made sure that there is only one."""
    given = b"\0%b\0" % head.uri
    cut = b"\0%b\0" % head.uri.partition(b"#")[0]
    name = b"REQUEST_URI"
    at = 0 if head.block.startswith(name + given) else head.block.find(b"\0" + name + given) + 1
    if not head.block.startswith(name + given, at):
        raise ScgiError("the request URI is not where it was read")
    return head.block[:at] + name + cut + head.block[at + len(name) + len(given) :]


def request_words(pairs: bytes) -> str:
    """Method and path of a request (of `request_head`) for a log: a query may hold what is nobody's business."""
    fields = pairs.decode("latin-1").split("\0")
    named = dict(zip(fields[::2], fields[1::2], strict=False))
    return f"{named.get('REQUEST_METHOD', '')} {named.get('SCRIPT_NAME', '')}{named.get('PATH_INFO', '')}"[:200]
