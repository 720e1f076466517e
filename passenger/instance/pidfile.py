"""The PID file that `passenger start --pid-file` asks for: written and removed by the process that it names.

Rules.
1. It is for other programs; nothing of ours ever reads a process id from it, except to see that it is our own.
2. Symbolic links are not followed, neither to write nor to remove.
3. It is written once the name of the instance is ours, so that a second start that is refused leaves it alone.
4. At the end it is removed only if it still holds the number of the process that ends: somebody else's stays.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from passenger.errors import HostError
from passenger.log import Log

MODE: Final = 0o644
LONGEST: Final = 32


@contextlib.contextmanager
def pid_file(path: str, log: Log) -> Iterator[None]:
    """There is one as long as this process is in the block; "" = none is wanted. Raises HostError."""
    if path:
        _write(path, os.getpid())
    try:
        yield
    finally:
        if path:
            _remove(path, os.getpid(), log)


def _write(path: str, pid: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, MODE)
        with os.fdopen(fd, "wb") as stream:
            stream.write(f"{pid}\n".encode())
    except OSError as error:
        raise HostError(
            f"cannot write PID file {path}: {error.strerror}", hint="does the folder exist, and is it yours?"
        ) from error


def _remove(path: str, pid: int, log: Log) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "rb") as stream:
                if stream.read(LONGEST) == f"{pid}\n".encode():
                    os.unlink(path)
    except OSError as error:
        log.write("warn", f"cannot remove PID file {path}: {error.strerror}", {})
