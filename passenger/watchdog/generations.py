"""The rendered nginx files of an instance: `nginx/<generation>/`, and `nginx/current`, a link to the one in use.

Rules.
1. A generation is never edited: a reload writes the next one and switches the link by rename.
2. Files are 0600: they hold the connect secret, and only the nginx master reads them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from passenger.errors import HostError
from passenger.instance.removal import remove_tree


class Generations:
    """Owns the folder `nginx` of one instance directory (which must exist)."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.current = ""
        self._last = 0

    def write(self, files: Mapping[str, str]) -> str:
        """Write the next generation; returns its name. Raises HostError."""
        self._last += 1
        name = str(self._last)
        root = f"{self.folder}/{name}"
        try:
            os.mkdir(root, 0o700)
            for relative, text in files.items():
                _write(root, relative, text)
        except OSError as error:
            self.remove(name)
            raise HostError(f"cannot write the nginx files in {root}: {error.strerror}") from error
        return name

    def conf(self, name: str = "current") -> str:
        return f"{self.folder}/{name}/nginx.conf"

    def switch(self, name: str) -> None:
        """Make a generation the current one; the previous one stays until `remove`. Raises HostError."""
        link = f"{self.folder}/.current.new"
        try:
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(name, link)
            os.rename(link, f"{self.folder}/current")
        except OSError as error:
            raise HostError(f"cannot switch {self.folder}/current: {error.strerror}") from error
        self.current = name

    def write_pid(self, pid: int) -> None:
        """nginx writes its own when it starts; this is for one that runs."""
        fd = os.open(f"{self.folder}/nginx.pid", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(fd, "w") as stream:
            os.fchmod(fd, 0o644)
            stream.write(f"{pid}\n")

    def remove(self, name: str) -> None:
        """Remove a generation that is not in use. What stays is removed with the instance directory."""
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            remove_tree(fd, name)
        finally:
            os.close(fd)


def _write(root: str, relative: str, text: str) -> None:
    parts = relative.split("/")
    if relative.startswith("/") or ".." in parts:
        raise HostError(f"rendered file name {relative!r} leaves its folder")
    for depth in range(1, len(parts)):
        folder = "/".join((root, *parts[:depth]))
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o700)
    fd = os.open(f"{root}/{relative}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(text)
