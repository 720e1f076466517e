"""Reading one file whole, without being held up by what is no file."""

from __future__ import annotations

import errno
import os
import pathlib
import stat


def read_at_most(path: pathlib.Path, size: int, *, may_be_pipe: bool = False) -> bytes:
    """The first `size` bytes of a regular file, or of a pipe where one may be given. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (0 if may_be_pipe else os.O_NONBLOCK))
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not (stat.S_ISREG(mode) or may_be_pipe):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(size)
    finally:
        os.close(descriptor)
