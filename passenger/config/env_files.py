"""Env files of applications: read by the process that resolves the configuration, as the user who runs it.

Rules.
1. Every value is a secret: it is never shown, logged or repeated in a message.
2. Root follows no symbolic link that leads from somebody else's place to a file that this somebody does not own: else
   an application's user would get from root what only root may read.
3. A file is read once, at most 1 MiB of it, and only if it is a regular one.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from typing import Any, Final

from passenger.config.diagnostics import Path
from passenger.config.env_text import Mistake, Variable, parse
from passenger.config.findings import Findings
from passenger.config.model import EnvValue
from passenger.lazy_dataclass import dataclass
from passenger.log import printable

SIZE_MAX: Final = 1024 * 1024
LINKS_MAX: Final = 40
"""As many as the kernel follows."""
LINES_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class _Content:
    """What one file says, or why it cannot be used."""

    variables: tuple[Variable, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    refusal: str = ""


class EnvFiles:
    """Reads the env files of one document."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._contents: dict[str, _Content] = {}

    def values(self, files: tuple[str, ...], path: Path) -> dict[str, EnvValue]:
        """The variables of some files, later files win. `path`: of the key that names them; mistakes are reported."""
        found: dict[str, EnvValue] = {}
        for index, file in enumerate(files):
            if file not in self._contents:
                self._contents[file] = read(file)
            content = self._contents[file]
            if content.refusal or content.mistakes:
                self._report((*path, index), content)
            for variable in content.variables:
                origin = f"{file}:{variable.line}"
                found[variable.name] = EnvValue(variable.value, secret=True, origin=origin)
        return found

    def _report(self, path: Path, content: _Content) -> None:
        file = self._written(path)
        if content.refusal:
            self._findings.add(
                "E126", path, f"the env file `{file}` cannot be used: {content.refusal}", label=content.refusal
            )
            return
        first, *others = content.mistakes
        lines = ", ".join(str(mistake.line) for mistake in others[:LINES_NAMED])
        more = f"; and lines {lines}{', ...' if len(others) > LINES_NAMED else ''}" if others else ""
        self._findings.add(
            "E127",
            path,
            f"{file}:{first.line}: {first.reason}{more}",
            label="a line of this file is wrong",
            help="a line is empty, a # comment, or NAME=VALUE; quotes hold a value of several lines",
        )

    def _written(self, path: Path) -> str:
        """The name as the configuration has it."""
        here: Any = self._findings.document.data
        for part in path:
            here = here[part]
        return printable(str(here))


def read(file: str) -> _Content:
    """One file; every way in which it cannot be used is a refusal."""
    try:
        data = _bytes(file)
    except OSError as error:
        return _Content(refusal=_reason(error))
    if len(data) > SIZE_MAX:
        return _Content(refusal="it is larger than 1 MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _Content(refusal=f"it is not UTF-8 text (byte {error.start + 1})")
    variables, mistakes = parse(text)
    return _Content(tuple(variables), tuple(mistakes))


def _reason(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"{reason} for user id {os.geteuid()}" if error.errno in {errno.EACCES, errno.EPERM} else reason


def _bytes(file: str) -> bytes:
    descriptor, link_owners = _opened(file)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if os.geteuid() == 0 and link_owners - {0, facts.st_uid}:
            raise OSError(errno.ELOOP, "a symbolic link of another user leads to it")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(SIZE_MAX + 1)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Walk:
    """How far a path was followed: what is left of it, and the owners of the links that were met."""

    left: tuple[str, ...]
    owners: frozenset[int] = frozenset()
    links: int = 0


def _opened(file: str) -> tuple[int, set[int]]:
    """A descriptor of an absolute path, and who owns the links on the way. Nothing can be exchanged in between."""
    walk = _Walk(_parts(file))
    folder = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        while walk.left:
            name, rest = walk.left[0], walk.left[1:]
            here = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            facts = os.fstat(here)
            if stat.S_ISLNK(facts.st_mode):
                target = os.readlink("", dir_fd=here)
                os.close(here)
                walk = replace(
                    walk, left=_parts(target) + rest, owners=walk.owners | {facts.st_uid}, links=walk.links + 1
                )
                if walk.links > LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                here = os.open("/", os.O_PATH | os.O_CLOEXEC) if target.startswith("/") else os.dup(folder)
            else:
                walk = replace(walk, left=rest)
            folder, before = here, folder
            os.close(before)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(f"/proc/self/fd/{folder}", flags), set(walk.owners)
    finally:
        os.close(folder)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in {"", "."})
