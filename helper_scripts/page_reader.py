"""Writes a small file to stdout, for somebody who may read more than the application's user and must not do it here.

    python -I -S page_reader.py PATH LIMIT

Run as the application's user: what it may not read is not read, wherever a symbolic link leads.
"""

from __future__ import annotations

import os
import stat
import sys


def main(path: str, limit: int) -> str:
    """What is wrong, or nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return "it is no regular file"
        if found.st_size > limit:
            return "it is longer than %d bytes" % limit
        data = os.read(fd, limit)
        while data:
            data = data[os.write(1, data) :]
    except OSError as error:
        return error.strerror or str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])) or 0)
