"""What a complaint of `nginx -t` means to the reader."""

from __future__ import annotations

import re
from typing import Final

from passenger.errors import HostError


class NginxRefusalError(HostError):
    """nginx does not accept the rendered files, or cannot use something they name."""


_HINTS: Final = (
    (
        r"cannot load certificate key|SSL_CTX_use_PrivateKey",
        "check `tls_certificate_key`: a PEM key without pass phrase",
    ),
    (r"cannot load certificate|SSL_CTX_use_certificate", "check `tls_certificate`: a PEM file with the whole chain"),
    (r"key values mismatch", "`tls_certificate_key` does not belong to `tls_certificate`"),
    (r"getpwnam\(", "set `nginx.user` to a user of this host"),
    (r"getgrnam\(", "set `nginx.group` to a group of this host"),
    (r"bind\(\) to .* failed \(13", "a port below 1024 needs root or CAP_NET_BIND_SERVICE: use a higher port"),
    (r"bind\(\) to .* failed \(98", "another program listens there: stop it, or change `nginx.listen`"),
    (r"bind\(\) to .* failed \(99", "this host has no such address: correct `nginx.listen`"),
    (
        r'"/dev/stdout" failed',
        "standard output cannot be opened again (a socket?): set `nginx.access_log` to a file or `off`",
    ),
    (r"Permission denied", "nginx's master runs as the user who started the instance: give it the right"),
    (r"No such file or directory", "create it, or correct the path in the configuration"),
    (r"No space left on device", "make room on the file system"),
    (r"unknown directive|invalid parameter|regex .* requires PCRE", "this nginx lacks a module: set `nginx.binary`"),
    (r"duplicate default server|conflicting server name", "another server of that nginx answers there already"),
)

_COMPLAINT: Final = re.compile(
    r"""^(?:nginx:|\d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d)\ \[(?:emerg|crit|alert|error)\]\ (?:\d+\#\d+:\ )?
    (?P<what>.+?)(?:\ in\ (?P<where>/\S+:\d+))?$""",
    re.MULTILINE | re.VERBOSE,
)
"""A line before the `error_log` directive was read, or one of the log after it."""

_TAIL: Final = 400
"""Characters of an answer that is not nginx's usual kind."""


def refusal(stderr: str) -> NginxRefusalError:
    """nginx's complaint as an error that says what to do."""
    found = _COMPLAINT.search(stderr)
    if found is None:
        said = " ".join(stderr.split())[-_TAIL:] or "it gave no reason"
        return NginxRefusalError(f"nginx refused its configuration: {said}")
    what, where = found["what"], found["where"]
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, what)), "")
    place = f" ({where})" if where else ""
    return NginxRefusalError(f"nginx refused its configuration: {what}{place}", hint=hint)
