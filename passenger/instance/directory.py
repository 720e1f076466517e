"""The instance directory: made, locked, filled and removed by the watchdog, and by nobody else.

Rules.
1. A directory is never reused by name: it is made anew; one that a dead instance left behind is removed first.
2. Who creates holds the registry's own lock meanwhile, so that two starters never see each other's half-made directory.
3. Every step is relative to a descriptor and follows no symbolic link; owners and modes are set on descriptors.
4. The flock on `lock` is held for life: it, not a pid file, says that the instance runs.
5. Modes do not depend on the umask. Started as root, others may pass through the directory but not list it.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from passenger.config.paths import InstancePaths
from passenger.errors import HostError
from passenger.instance.removal import remove_contents, remove_tree

LOCK_ATTEMPTS: Final = 20
LOCK_PAUSE: Final = 0.05
"""Seconds between attempts: a command that lists instances holds a shared lock for a moment."""

STRUCTURE: Final = 1
"""Version of what lies in an instance directory; other versions are not listed."""


class InstanceDirectory:
    """An instance directory that this process created and holds locked."""

    def __init__(self, paths: InstancePaths, *, registry_fd: int, fd: int, lock_fd: int) -> None:
        self.paths = paths
        self._registry_fd = registry_fd
        self._fd = fd
        self._lock_fd = lock_fd

    def write(self, name: str, data: bytes, *, mode: int = 0o600) -> None:
        """A file that readers see whole or not at all."""
        temporary = f".{name}.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600, dir_fd=self._fd)
        with os.fdopen(fd, "wb") as stream:
            os.fchmod(fd, mode)
            stream.write(data)
        os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def write_json(self, name: str, document: Mapping[str, Any], *, mode: int = 0o600) -> None:
        self.write(name, json.dumps(document, indent=1).encode() + b"\n", mode=mode)

    def make_folder(self, name: str, *, mode: int, uid: int | None = None, gid: int | None = None) -> None:
        """A folder directly inside."""
        os.mkdir(name, 0o700, dir_fd=self._fd)
        fd = _open_folder(name, dir_fd=self._fd)
        try:
            if uid is not None or gid is not None:
                os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def finalize(self) -> None:
        """From now on commands find this instance."""
        self.write(os.path.basename(self.paths.creation_finalized), b"", mode=0o644)

    def refresh(self) -> None:
        """Renew the times of everything, so that cleaners of temporary files leave it alone."""
        os.utime(self._fd)
        _touch(self._fd)

    def missing(self, names: Iterable[str]) -> str:
        """The first name inside that is not there, "." when the directory itself is not, or ""."""
        name = "."
        try:
            here = os.fstat(self._fd)
            there = os.stat(os.path.basename(self.paths.root), dir_fd=self._registry_fd, follow_symlinks=False)
            if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
                return name
            for name in names:
                os.stat(name, dir_fd=self._fd)
        except OSError:
            return name
        return ""

    def remove(self) -> list[str]:
        """Remove the directory if its name still means it; returns what could not be removed. The lock goes last."""
        name = os.path.basename(self.paths.root)
        try:
            here = os.fstat(self._fd)
            there = os.stat(name, dir_fd=self._registry_fd, follow_symlinks=False)
            if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
                return [f"{self.paths.root}: replaced by somebody else"]
            failures = remove_contents(self._fd, keep="lock") + remove_contents(self._fd)
            if not failures:
                os.rmdir(name, dir_fd=self._registry_fd)
        except FileNotFoundError:
            return []
        except OSError as error:
            return [f"{self.paths.root}: {error.strerror}"]
        return [f"{self.paths.root}/{failure}" for failure in failures]

    def close(self) -> None:
        """Give up the lock."""
        for fd in (self._lock_fd, self._fd, self._registry_fd):
            os.close(fd)


def create(paths: InstancePaths, *, euid: int, pause: Callable[[float], None] = time.sleep) -> InstanceDirectory:
    """Make and lock the directory. Raises HostError: it runs already, or the registry is not safe or not writable."""
    registry, name = os.path.split(paths.root)
    registry_fd = _open_registry(registry, euid=euid)
    try:
        fcntl.flock(registry_fd, fcntl.LOCK_EX)
        try:
            _clear_the_name(registry_fd, name, paths, euid=euid, pause=pause)
            return _make(registry_fd, name, paths, euid=euid)
        finally:
            fcntl.flock(registry_fd, fcntl.LOCK_UN)
    except OSError as error:
        os.close(registry_fd)
        raise HostError(f"cannot make the instance directory {paths.root}: {error.strerror}") from error
    except BaseException:
        os.close(registry_fd)
        raise


def _make(registry_fd: int, name: str, paths: InstancePaths, *, euid: int) -> InstanceDirectory:
    os.mkdir(name, 0o700, dir_fd=registry_fd)
    fd = _open_folder(name, dir_fd=registry_fd)
    try:
        lock_fd = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=fd)
        os.fchmod(lock_fd, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(fd, 0o711 if euid == 0 else 0o700)
    except OSError:
        os.close(fd)
        raise
    return InstanceDirectory(paths, registry_fd=registry_fd, fd=fd, lock_fd=lock_fd)


def _clear_the_name(
    registry_fd: int, name: str, paths: InstancePaths, *, euid: int, pause: Callable[[float], None]
) -> None:
    """Remove what a dead instance left. Raises HostError when it lives, or when the thing is not ours."""
    try:
        fd = _open_folder(name, dir_fd=registry_fd)
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostError(
            f"{paths.root} is in the way: it is not a folder ({error.strerror})", hint="look at it and remove it"
        ) from error
    try:
        if os.fstat(fd).st_uid != euid:
            raise HostError(
                f"{paths.root} belongs to user {os.fstat(fd).st_uid}, not to user {euid}",
                hint="choose another instance name or registry_dir, or let its owner remove it",
            )
        lock_fd = _take_stale_lock(fd, paths, pause=pause)
        try:
            if failures := remove_tree(registry_fd, name):
                raise HostError(f"cannot remove what a dead instance left: {', '.join(failures)} in {paths.root}")
        finally:
            if lock_fd is not None:
                os.close(lock_fd)
    finally:
        os.close(fd)


def _take_stale_lock(fd: int, paths: InstancePaths, *, pause: Callable[[float], None]) -> int | None:
    try:
        lock_fd = os.open("lock", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
    except FileNotFoundError:
        return None  # died between mkdir and lock: the registry lock keeps a living one from being seen so
    for attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < LOCK_ATTEMPTS:
                pause(LOCK_PAUSE)
        else:
            return lock_fd
    os.close(lock_fd)
    pid = _watchdog_pid(fd)
    by = f" (watchdog pid {pid})" if pid else ""
    raise HostError(
        f"instance {os.path.basename(paths.root)} is already running{by} in {paths.root}",
        hint="stop it with `passenger stop`, or give this one another name",
    )


def _watchdog_pid(fd: int) -> int | None:
    try:
        properties = os.open("properties.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
        with os.fdopen(properties, "rb") as stream:
            return int(json.loads(stream.read(1 << 20))["watchdog_pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _open_registry(registry: str, *, euid: int) -> int:
    """Open the registry, made if missing. Raises HostError unless it is ours alone to write to."""
    try:
        _make_registry(registry, mode=0o755 if euid == 0 else 0o700)
        fd = _open_folder(registry)
    except OSError as error:
        raise HostError(
            f"cannot use the registry {registry}: {error.strerror}",
            hint="set registry_dir or PASSENGER_INSTANCE_REGISTRY_DIR to a folder of your own; "
            "in a container, mount one (`--tmpfs /run/passenger`)",
        ) from error
    status = os.fstat(fd)
    problem = ""
    if status.st_uid != euid:
        problem = f"it belongs to user {status.st_uid}, not to user {euid}"
    elif status.st_mode & 0o022:
        problem = f"others may write to it (mode {stat.S_IMODE(status.st_mode):04o})"
    elif parent := _open_door(os.path.dirname(registry)):
        problem = f"others may write to {parent} and could put another folder in its place"
    if problem:
        os.close(fd)
        raise HostError(
            f"registry {registry} is not safe: {problem}", hint="use a folder that only this user may write to"
        )
    return fd


def _make_registry(registry: str, *, mode: int) -> None:
    missing = []
    folder = registry
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for name in reversed(missing):
        try:
            os.mkdir(name, 0o700)
        except FileExistsError:
            continue  # made by another starter just now; its owner and mode are checked like any other's
        fd = _open_folder(name)
        os.fchmod(fd, mode)
        os.close(fd)


def _open_door(folder: str) -> str:
    """The first folder above that anybody may rename things in (world-writable without the sticky bit), or ""."""
    while True:
        mode = os.stat(folder).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return folder
        if folder == os.path.dirname(folder):
            return ""
        folder = os.path.dirname(folder)


def _open_folder(name: str, *, dir_fd: int | None = None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)


def _touch(folder_fd: int) -> None:
    for name in os.listdir(folder_fd):
        try:
            os.utime(name, dir_fd=folder_fd, follow_symlinks=False)
            if stat.S_ISDIR(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
                fd = _open_folder(name, dir_fd=folder_fd)
                try:
                    _touch(fd)
                finally:
                    os.close(fd)
        except OSError:  # it went away meanwhile, or belongs to an application: its next request renews it
            continue
