"""What an nginx binary can do, read from the text of `nginx -V`: a pure function.

Rules.
1. Modules that nginx builds unless told otherwise are known by their absence from `--without-...`.
2. A version number alone condemns nobody: distributions repair old versions without changing the number.
"""

from __future__ import annotations

import re
from typing import Final

from passenger.lazy_dataclass import dataclass

Version = tuple[int, int, int]

OLDEST: Final[Version] = (1, 20, 0)
"""Older ones lack `-e` (1.19.5), which keeps nginx from opening a log file that is not ours."""

_HTTP2_DIRECTIVE: Final[Version] = (1, 25, 1)
_RESPONSE_OVERREAD_FIXED: Final[Version] = (1, 30, 1)

_FLAW: Final = "CVE-2026-42946 (reading beyond a response of the application server)"

NEEDED_FOR: Final = {
    "http_ssl_module": "TLS, which a listener needs",
    "http_realip_module": "http_realip_module, which `trusted_proxies` needs",
}
"""Optional modules -> what is missing without them, and for whom."""

_DISTRIBUTION_PREFIXES: Final = frozenset({"/usr/share/nginx", "/var/lib/nginx"})
"""Installation prefixes of Debian, Ubuntu, Fedora, RHEL and Alpine; nginx's own packages use /etc/nginx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One nginx binary's version and modules."""

    version: Version
    prefix: str
    built_in: frozenset[str]
    """Modules of `--with-...`, such as `http_ssl_module`; not those loaded at run time."""
    left_out: frozenset[str]
    """Modules of `--without-...`."""

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))

    def has(self, module: str) -> bool:
        """Whether an optional module is built in."""
        return module in self.built_in

    def lacks(self, module: str) -> bool:
        """Whether a module that is there by default was left out."""
        return module in self.left_out

    @property
    def can_http2(self) -> bool:
        """HTTP/2 with the directive `http2` (1.25.1); the older spelling is not used."""
        return self.has("http_v2_module") and self.version >= _HTTP2_DIRECTIVE


def parse(text: str) -> Build:
    """Read the output of `nginx -V`. Raises ValueError when it is none."""
    version = re.search(r"^nginx version: [^/\s]+/(\d+)\.(\d+)\.(\d+)", text, re.MULTILINE)
    if version is None:
        raise ValueError("no nginx version in the output of -V")
    arguments = re.search(r"^configure arguments:(.*)$", text, re.MULTILINE)
    words = re.sub(r"'[^']*'", "", arguments.group(1)).split() if arguments else []
    prefix = next((word.removeprefix("--prefix=") for word in words if word.startswith("--prefix=")), "")
    return Build(
        version=(int(version[1]), int(version[2]), int(version[3])),
        prefix=prefix,
        built_in=frozenset(_modules(words, "--with-")),
        left_out=frozenset(_modules(words, "--without-")),
    )


def warnings(build: Build) -> tuple[str, ...]:
    """What an operator must know about this binary."""
    if _may_be_flawed(build) and not _is_from_distribution(build):
        return (f"nginx {build.version_text} is affected by {_FLAW}: use 1.30.1 or newer.",)
    return ()


def _may_be_flawed(build: Build) -> bool:
    return build.version < _RESPONSE_OVERREAD_FIXED


def _is_from_distribution(build: Build) -> bool:
    return build.prefix in _DISTRIBUTION_PREFIXES


def _modules(words: list[str], flag: str) -> list[str]:
    return [word.removeprefix(flag) for word in words if word.startswith(flag) and "=" not in word]
