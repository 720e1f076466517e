"""Entries of nginx's cache on the disk: counted, and removed, since nginx itself cannot be asked to.

Rules.
1. Everything goes by descriptors from the cache's folder on; no symbolic link is followed, nothing but a regular file
   with the name of an entry (32 hexadecimal digits) is looked into or removed.
2. nginx goes on beside us: what disappears meanwhile is no error, folders stay, and files that it is just writing too.
3. An entry tells its own key; a key is as `passenger.webserver.cache` makes it: the URI is what follows the last space.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

_ENTRY: Final = re.compile(r"[0-9a-f]{32}")
_KEY: Final = b"\nKEY: "
_HEAD: Final = 64 * 1024
"""Bytes of an entry in which its key ends: nginx reads no longer URI than 16 KiB."""
_LEVELS: Final = 2

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Usage(NamedTuple):
    entries: int
    size: int
    """Bytes on the disk."""


def measure(folder: str) -> Usage:
    """What a cache holds; nothing when it was not made yet. Raises PermissionError."""
    blocks = [found.st_blocks for parent, name in _entries(folder) if (found := _facts(parent, name)) is not None]
    return Usage(len(blocks), 512 * sum(blocks))


def purge(folder: str, is_meant: Callable[[bytes], bool] | None = None) -> int:
    """Remove entries, only those whose URI is meant if that matters; returns how many. Raises PermissionError."""
    removed = 0
    for parent, name in _entries(folder):
        if is_meant is not None and not is_meant(_uri(parent, name)):
            continue
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
            removed += 1
    return removed


def _entries(folder: str) -> Iterator[tuple[int, str]]:
    try:
        fd = os.open(folder, _FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        yield from _below(fd, _LEVELS)
    finally:
        os.close(fd)


def _below(fd: int, levels: int) -> Iterator[tuple[int, str]]:
    for name in os.listdir(fd):
        if not levels:
            if _ENTRY.fullmatch(name) and _facts(fd, name) is not None:
                yield fd, name
            continue
        try:
            inner = os.open(name, _FOLDER, dir_fd=fd)
        except PermissionError:
            raise
        except OSError:
            continue  # no folder, a symbolic link, or gone
        try:
            yield from _below(inner, levels - 1)
        finally:
            os.close(inner)


def _facts(parent: int, name: str) -> os.stat_result | None:
    """None for what is no regular file, or no longer there."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _uri(parent: int, name: str) -> bytes:
    """The URI that an entry is for; b"" when it does not tell."""
    try:
        fd = os.open(name, _FILE, dir_fd=parent)
    except PermissionError:
        raise
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as stream:
        key = stream.read(_HEAD).partition(_KEY)[2].partition(b"\n")[0]
    return key.rpartition(b" ")[2]
