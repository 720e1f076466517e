"""Removing a tree by descriptors: no path is resolved twice, no symbolic link is followed.

Own code because `shutil` costs the watchdog a megabyte.
"""

from __future__ import annotations

import os
import stat


def remove_tree(parent_fd: int, name: str) -> list[str]:
    """Remove the folder `name` in the folder `parent_fd`; returns what could not be removed."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
    except OSError as error:
        return [f"{name} ({error.strerror})"]
    try:
        failures = remove_contents(fd)
        if not failures:
            os.rmdir(name, dir_fd=parent_fd)
    except OSError as error:
        return [f"{name} ({error.strerror})"]
    finally:
        os.close(fd)
    return [f"{name}/{failure}" for failure in failures]


def remove_contents(folder_fd: int, *, keep: str = "") -> list[str]:
    """Empty the folder, except for one name; returns what could not be removed."""
    failures = []
    for name in os.listdir(folder_fd):
        if name != keep:
            failures += _remove(folder_fd, name)
    return failures


def _remove(folder_fd: int, name: str) -> list[str]:
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            return remove_tree(folder_fd, name)
        os.unlink(name, dir_fd=folder_fd)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{name} ({error.strerror})"]
    return []
