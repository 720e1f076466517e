"""What differs between the images: packages of Debian, and what each is for. Read by docker/generate.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PYTHON: Final = ("ca-certificates", "media-types", "netbase", "tzdata")
"""What ssl, mimetypes, socket and zoneinfo of Python read; the interpreter is in `base`."""
RUBY: Final = ("bundler", "ca-certificates", "ruby", "tzdata")
NODE: Final = ("ca-certificates", "nodejs")
COMPILERS: Final = ("g++", "gcc", "git", "libffi-dev", "libpq-dev", "libyaml-dev", "make", "pkg-config")


@dataclass(frozen=True, slots=True)
class Variant:
    """An image that adds packages to another one."""

    name: str
    title: str
    stands_on: str
    packages: tuple[str, ...]
    is_builder: bool = False
    """For the first stage of somebody's Dockerfile: has compilers, runs as root, serves nothing."""


def _together(*groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({name for group in groups for name in group}))


VARIANTS: Final = (
    Variant("python", "for Python applications (WSGI and ASGI)", "base", PYTHON),
    Variant("ruby", "for Ruby applications (Rack)", "base", RUBY),
    Variant("node", "for Node.js applications", "base", NODE),
    Variant("full", "for Python, Ruby and Node.js applications", "base", _together(PYTHON, RUBY, NODE)),
    Variant(
        "build",
        "to install what applications need: compilers, pip, Bundler, npm",
        "full",
        _together(COMPILERS, ("npm", "python3-dev", "python3-venv", "ruby-dev")),
        is_builder=True,
    ),
)
