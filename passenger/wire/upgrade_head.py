"""The head of an upgrade request as nginx's `proxy_pass` sends it -> who asks for what, in the pairs of an SCGI head.

Rules.
1. Parsed exactly or rejected with ScgiError: HTTP/1.1 only, CRLF only, no folded lines, one request per connection
   without a body; both `Upgrade` with one token and `Connection` with the option `upgrade`.
2. What nginx says about the connection comes in `X-Passenger-*` headers, each exactly once, the connect secret among
   them; any other header of that kind is dropped. None of them reaches the application. That a trusted proxy sent the
   request counts only together with the secret: not every web server of ours says something about it.
3. The rules of `scgi_head` hold: names with anything but letters, digits and `-` are dropped, repeated headers joined
   or refused, the client's word about proxies is dropped with everything hop-by-hop (by `http_request`).
"""

from __future__ import annotations

import re
from hmac import compare_digest
from typing import Final

from passenger.wire.http1 import END
from passenger.wire.scgi import ScgiError
from passenger.wire.scgi_head import REMOVED, Head, as_head, joined

_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) ([\x21-\x7e\x80-\xff]+) HTTP/1\.1")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_NAME: Final = re.compile(rb"[A-Za-z0-9-]+")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")

PREFIX: Final = b"HTTP_X_PASSENGER_"
FACTS: Final = {
    PREFIX + b"CONNECT_SECRET": b"",
    PREFIX + b"APP": b"",
    PREFIX + b"HOST": b"HTTP_HOST",
    PREFIX + b"SERVER_NAME": b"SERVER_NAME",
    PREFIX + b"SERVER_PORT": b"SERVER_PORT",
    PREFIX + b"SERVER_PROTOCOL": b"SERVER_PROTOCOL",
    PREFIX + b"CLIENT_ADDRESS": b"REMOTE_ADDR",
    PREFIX + b"CLIENT_PORT": b"REMOTE_PORT",
    PREFIX + b"SCHEME": b"REQUEST_SCHEME",
}
"""What nginx adds -> the parameter it becomes; "" = it is for the core only."""

_OPTIONAL: Final = frozenset({PREFIX + b"HOST", PREFIX + b"CLIENT_PORT"})
"""nginx leaves a header out whose value is empty, as is the port of a client that a load balancer told of."""
_DROPPED: Final = REMOVED | {
    b"HTTP_CONNECTION",
    b"HTTP_UPGRADE",
    b"HTTP_HOST",
    b"HTTP_FORWARDED",
    b"HTTP_X_FORWARDED_FOR",
    b"HTTP_X_FORWARDED_HOST",
    b"HTTP_X_FORWARDED_PORT",
    b"HTTP_X_FORWARDED_PREFIX",
    b"HTTP_X_FORWARDED_PROTO",
    b"HTTP_X_FORWARDED_SSL",
    b"HTTP_X_REAL_IP",
}


class UpgradeHead:
    """`head` is what `scgi_head.parse_head` would have said of it; `protocol` is the token of the Upgrade header."""

    __slots__ = ("head", "protocol")

    def __init__(self, head: Head, protocol: bytes) -> None:
        self.head = head
        self.protocol = protocol


def parse_upgrade(data: bytes, secret: bytes) -> UpgradeHead:
    """Read a head that ends with its blank line, and nothing behind it. Raises ScgiError."""
    end = data.find(END)
    if end < 0 or end + len(END) != len(data):
        raise ScgiError("bytes follow the request")
    first, *lines = data[:end].split(b"\r\n")
    asked = _LINE.fullmatch(first)
    if asked is None:
        raise ScgiError("the request line is malformed")
    fields = _fields(lines)
    facts = _facts(fields, secret)
    protocol = _protocol(asked[1], fields)
    query = asked[2].partition(b"#")[0].partition(b"?")[2]
    pairs = {b"REQUEST_METHOD": asked[1], b"REQUEST_URI": asked[2], b"QUERY_STRING": query, b"CONTENT_TYPE": b""}
    pairs |= {FACTS[name]: value for name, value in facts.items() if FACTS[name]}
    pairs |= {name: value for name, value in fields.items() if name not in _DROPPED and not name.startswith(PREFIX)}
    if compare_digest(fields.get(PREFIX + b"TRUSTED_PROXY", b""), secret + b"1"):
        pairs[b"TRUSTED_PROXY"] = b"1"
    block = b"".join([b"%b\0%b\0" % pair for pair in pairs.items()])
    return UpgradeHead(as_head(facts[PREFIX + b"APP"], 0, asked[1], asked[2], block), protocol)


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """By CGI name, HTTP_ in front of all of them."""
    fields: dict[bytes, bytes] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise ScgiError("a malformed header line in the request")
        if _NAME.fullmatch(field[1]):
            name = b"HTTP_" + field[1].upper().replace(b"-", b"_")
            if name not in fields:
                fields[name] = field[2]
            elif name.startswith(PREFIX):
                raise ScgiError("a header of the web server is repeated")
            else:
                fields[name] = joined(name, fields[name], field[2])
    return fields


def _facts(fields: dict[bytes, bytes], secret: bytes) -> dict[bytes, bytes]:
    if not compare_digest(fields.get(PREFIX + b"CONNECT_SECRET", b""), secret):
        raise ScgiError("the connect secret is missing or wrong")
    facts = {name: fields[name] for name in FACTS if name in fields}
    if not _OPTIONAL.issuperset(FACTS.keys() - facts.keys()):
        raise ScgiError("a header of the web server is missing")
    return facts


def _protocol(method: bytes, fields: dict[bytes, bytes]) -> bytes:
    """The one protocol that is asked for."""
    options = {option.strip().lower() for option in fields.get(b"HTTP_CONNECTION", b"").split(b",")}
    protocol = fields.get(b"HTTP_UPGRADE", b"")
    if b"upgrade" not in options or not _TOKEN.fullmatch(protocol):
        raise ScgiError("the request asks for no upgrade, or for several")
    if method == b"HEAD" or b"HTTP_TRANSFER_ENCODING" in fields:
        raise ScgiError("an upgrade of a HEAD request, or with a body")
    if fields.get(b"HTTP_CONTENT_LENGTH", b"0") != b"0":
        raise ScgiError("an upgrade with a body")
    return protocol
