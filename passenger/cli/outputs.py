"""The log file of `passenger start`, and what stands in for a terminal."""

from __future__ import annotations

import os

from passenger.errors import HostError

LOG_MODE = 0o640
STDIN, STDOUT, STDERR = 0, 1, 2


def open_log(path: str) -> int:
    """A descriptor that appends. Symbolic links are not followed. Raises HostError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
    return _open(path, flags | (0 if path.startswith("/dev/") else os.O_NOFOLLOW), LOG_MODE, "log file")


def redirect_output(log: int) -> None:
    """stdout and stderr go to the log from here on."""
    os.dup2(log, STDOUT)
    os.dup2(log, STDERR)


def close_input() -> None:
    """stdin reads nothing from here on."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, STDIN)
    os.close(null)


def _open(path: str, flags: int, mode: int, what: str) -> int:
    try:
        return os.open(path, flags, mode)
    except OSError as error:
        raise HostError(
            f"cannot open {what} {path}: {error.strerror}", hint="does the folder exist, and is it yours?"
        ) from error
