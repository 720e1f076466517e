"""REQUEST_URI and the application's base URI -> SCRIPT_NAME and PATH_INFO (fault matrix F7).

Rules.
1. SCRIPT_NAME + PATH_INFO is the path of REQUEST_URI after exactly one percent-decoding, nothing else: no slash is
   merged, no `.` or `..` is resolved, no second decoding, `;` and `\\` are ordinary bytes.
   One exception: the base URI may be spelled otherwise (`//blog/x`, `/./blog/x`), because the web server chose the
   application by the path with slashes merged and dots resolved. SCRIPT_NAME is the configured one all the same, so
   that links made from it never begin with `//`.
2. Bytes stay bytes: 8-bit and over-long UTF-8 sequences pass through as they are.
3. NUL (also `%00`), control bytes, blanks and broken percent signs are refused.
4. A `#fragment` is cut off before anything is looked at; `scheme://authority` of an absolute URI likewise.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from passenger.wire.scgi import ScgiError

_FORBIDDEN: Final = re.compile(rb"[\x00-\x20\x7f]")
_BROKEN_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def split_path(uri: bytes, base_uri: bytes, method: bytes) -> tuple[bytes, bytes]:
    """(SCRIPT_NAME, PATH_INFO). `base_uri` is empty for an application at `/`. Raises ScgiError."""
    if _FORBIDDEN.search(uri):
        raise ScgiError("a control byte or blank in the request URI")
    path = uri.partition(b"#")[0].partition(b"?")[0]
    if path[:1] != b"/":
        path = _unusual_form(path, method)
        if path == b"*":
            return base_uri, b""
    if b"%" in path:
        path = _decoded(path)
    if not base_uri:
        return b"", path
    info = path[len(base_uri) :]
    if not path.startswith(base_uri) or (info and info[0] != 0x2F):
        info = _below(path, base_uri)
    return base_uri, info


def _below(path: bytes, base_uri: bytes) -> bytes:
    """What follows the shortest beginning of the path that means the base URI. Raises ScgiError."""
    wanted = base_uri.split(b"/")[1:]
    met: list[bytes] = []
    end = 0
    for part in path[1:].split(b"/"):
        end += 1 + len(part)
        if part == b"..":
            if not met:
                break  # above the root
            met.pop()
        elif part not in {b"", b"."}:
            met.append(part)
        if met == wanted:
            return path[end:]
    raise ScgiError("the request path is not below the base URI of the application")


def _unusual_form(path: bytes, method: bytes) -> bytes:
    if path == b"*" and method == b"OPTIONS":
        return path
    if absolute := _ABSOLUTE.match(path):
        return path[absolute.end() :] or b"/"
    raise ScgiError("the request URI is neither a path nor an absolute URI")


def _decoded(path: bytes) -> bytes:
    if _BROKEN_PERCENT.search(path):
        raise ScgiError("a broken percent sign in the request URI")
    path = unquote_to_bytes(path)
    if b"\0" in path:
        raise ScgiError("NUL in the request path")
    return path
