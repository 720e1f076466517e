"""Finding running instances: every finalized and living instance directory of a registry.

Rules.
1. Only finalized directories count, and only living ones: the lock is held or, where we may not open the lock, the
   watchdog's pid exists.
2. Directories of other users are skipped, except root's: nobody else can fool the caller into talking to them.
3. Nothing is removed or repaired here; `passenger start` cleans what it needs.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from passenger.config.paths import InstancePaths, registry_dir
from passenger.errors import InstanceSelectionError
from passenger.instance.directory import STRUCTURE
from passenger.instance.plan import Listen
from passenger.lazy_dataclass import dataclass

MAX_PROPERTIES: Final = 4 * 1024 * 1024
"""Bytes read of a properties.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """A running instance."""

    name: str
    paths: InstancePaths
    watchdog_pid: int
    version: str
    created_at: float
    """Seconds since the epoch."""
    config_files: tuple[str, ...]
    urls: Mapping[str, str]
    listen: tuple[tuple[str, int], ...]
    """Numeric host and port of every TCP address that the instance holds."""


def properties(
    *,
    name: str,
    version: str,
    watchdog_pid: int,
    created_at: float,
    config_files: list[str],
    urls: Mapping[str, str],
    listen: Sequence[Listen],
) -> dict[str, Any]:
    """What `properties.json` holds."""
    return {
        "structure": STRUCTURE,
        "name": name,
        "version": version,
        "watchdog_pid": watchdog_pid,
        "created_at": created_at,
        "config_files": config_files,
        "urls": dict(urls),
        "listen": [[address.host, address.port] for address in listen],
    }


def find_instances(registry: str | None, environ: Mapping[str, str], euid: int) -> list[InstanceRecord]:
    """Running instances, by name. `registry` None = where the caller's own instances are."""
    folder = registry_dir(registry, environ=environ, euid=euid)
    return sorted(_records(folder, euid=euid), key=lambda record: record.name)


def select(records: list[InstanceRecord], name: str | None) -> InstanceRecord:
    """The instance of that name or, if only one matches, with that prefix. Raises InstanceSelectionError."""
    if name is not None:
        exact = [record for record in records if record.name == name]
        matching = exact or [record for record in records if record.name.startswith(name)]
    else:
        matching = records
    if len(matching) == 1:
        return matching[0]
    if not records:
        raise InstanceSelectionError("no instance is running", hint="start one with `passenger start`")
    listing = "\n".join(f"  {r.name}  (watchdog pid {r.watchdog_pid}, {r.paths.root})" for r in matching or records)
    if not matching:
        raise InstanceSelectionError(f"no running instance is called {name}; running are:\n{listing}")
    what = "several instances are running" if name is None else f"several instances match {name}"
    raise InstanceSelectionError(f"{what}:\n{listing}", hint="choose one with `--instance NAME`")


def _records(folder: str, *, euid: int) -> Iterator[InstanceRecord]:
    try:
        names = os.listdir(folder)
    except OSError:  # no registry, or not for our eyes: nothing that we could talk to
        return
    for name in names:
        try:
            fd = os.open(f"{folder}/{name}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(fd).st_uid in {0, euid} or euid == 0:
                record = _record(fd, f"{folder}/{name}")
                if record is not None:
                    yield record
        finally:
            os.close(fd)


def _record(fd: int, root: str) -> InstanceRecord | None:
    try:
        os.stat("creation_finalized", dir_fd=fd, follow_symlinks=False)
        found = _read_properties(fd)
        if found["structure"] != STRUCTURE or not _is_alive(fd, int(found["watchdog_pid"])):
            return None
        return InstanceRecord(
            name=str(found["name"]),
            paths=InstancePaths(root=root),
            watchdog_pid=int(found["watchdog_pid"]),
            version=str(found["version"]),
            created_at=float(found["created_at"]),
            config_files=tuple(map(str, found["config_files"])),
            urls={str(app): str(url) for app, url in found["urls"].items()},
            listen=tuple((str(host), int(port)) for host, port in found["listen"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # half-made, going away, or not one of ours


def _read_properties(fd: int) -> dict[str, Any]:
    file = os.open("properties.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
    with os.fdopen(file, "rb") as stream:
        found = json.loads(stream.read(MAX_PROPERTIES))
    if not isinstance(found, dict):
        raise TypeError("properties.json is no object")
    return found


def _is_alive(fd: int, watchdog_pid: int) -> bool:
    try:
        lock = os.open("lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
    except PermissionError:
        return os.path.isdir(f"/proc/{watchdog_pid}")
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)
