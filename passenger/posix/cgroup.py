"""How many CPUs and how much memory this process may use, and why: the machine's, cut by all cgroups above us (v1, v2).

Pure over a root folder: tests hand in a tree of files.

Rules.
1. A file that is missing or odd sets no limit.
2. In a container, what file systems in memory may take counts against its limit, so it is subtracted: a volume of
   `medium: Memory`, a `tmpfs` with a size. One without a size, or as large as the limit, promises nothing and is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Generic, TypeVar

from passenger.lazy_dataclass import dataclass

_SYSTEM_MOUNTS: Final = ("/dev", "/proc", "/sys")
"""Every container has some there, and they are closed or small."""
_SIZES: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

V1_NO_LIMIT: Final = 1 << 60
"""Bytes; v1 writes a page-rounded 2**63 for "no limit"."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Mount:
    kind: str
    inside: str
    """Path within the hierarchy that is mounted."""
    at: str
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Room(Generic[T]):
    """An amount, and where it comes from in words for people."""

    amount: T
    why: str


def cpu_room(*, root: str = "/", affinity: int | None = None) -> Room[float]:
    """CPUs, possibly a fraction. `affinity`: how many the scheduler lets this process run on (None = ask)."""
    base = Path(root)
    room = Room(float(len(os.sched_getaffinity(0)) if affinity is None else affinity), "CPUs that it may run on")
    for mount, level in _levels(base):
        limit = _cpu_limit(level, mount)
        if limit is not None and limit < room.amount:
            room = Room(limit, f"quota of {_shown(base, level)}")
    return room


def memory_room(*, root: str = "/") -> Room[int | None]:
    """Bytes; None = unknown."""
    base = Path(root)
    least, why, in_container = _machine_memory(base), "memory of the machine", False
    for mount, level in _levels(base):
        limit = _memory_limit(level, mount)
        if limit is not None and (least is None or limit < least):
            least, why = limit, f"limit of {_shown(base, level)}"
            # Only a container sees a limit on the top of what is mounted: on a host the topmost cgroup has none.
            in_container = level == base / mount.at.lstrip("/")
    if least is None or not in_container:
        return Room(least, why if least is not None else "unknown")
    volumes = {at: size for at, size in _memory_volumes(base) if size < least}
    if not volumes or sum(volumes.values()) >= least:
        return Room(least, why)
    return Room(least - sum(volumes.values()), f"{why}, without what {' and '.join(volumes)} may take")


def visible_cpus(*, root: str = "/", affinity: int | None = None) -> float:
    """The amount alone."""
    return cpu_room(root=root, affinity=affinity).amount


def visible_memory(*, root: str = "/") -> int | None:
    """The amount alone."""
    return memory_room(root=root).amount


def own_v2_folder(*, root: str = "/") -> Path | None:
    """The folder of the cgroup (v2) that holds this process; None where there is none."""
    return next((folder for mount, folder in _own_folders(Path(root)) if mount.kind == "cgroup2"), None)


def _levels(base: Path) -> Iterator[tuple[_Mount, Path]]:
    """Every cgroup that holds this process, with its ancestors up to the mount."""
    for mount, folder in _own_folders(base):
        for level in _upwards(folder, base / mount.at.lstrip("/")):
            yield mount, level


def _own_folders(base: Path) -> Iterator[tuple[_Mount, Path]]:
    mounts = list(_mounts(base))
    for line in _lines(base / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        wanted = frozenset(names.split(",")) - {""}
        for mount in mounts:
            is_v2 = number == "0" and mount.kind == "cgroup2"
            if is_v2 or (mount.kind == "cgroup" and wanted & mount.controllers):
                yield mount, _folder(base, mount, path)
                break


def _folder(base: Path, mount: _Mount, path: str) -> Path:
    """Our folder below a mount; in a container without its own cgroup namespace only the mount itself is visible."""
    inside = mount.inside.rstrip("/")
    relative = path[len(inside) :] if inside and (path == inside or path.startswith(f"{inside}/")) else path
    return base / mount.at.lstrip("/") / relative.lstrip("/")


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    while True:
        if ".." not in folder.parts and folder.is_dir():
            yield folder
        if folder == top or top not in folder.parents:
            return
        folder = folder.parent


def _mounts(base: Path) -> Iterator[_Mount]:
    for line in _lines(base / "proc/self/mountinfo"):
        left, separator, right = line.partition(" - ")
        if not separator:
            continue
        columns, kind = left.split(), right.split()
        if kind[0] in {"cgroup", "cgroup2"}:
            controllers = frozenset(kind[2].split(",")) if len(kind) > 2 else frozenset()
            yield _Mount(kind=kind[0], inside=columns[3], at=columns[4], controllers=controllers)


def _memory_volumes(base: Path) -> Iterator[tuple[str, int]]:
    """Where a file system in memory is mounted that says how large it may become."""
    for line in _lines(base / "proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        columns, kind = left.split(), right.split()
        if len(columns) < 6 or len(kind) < 3 or kind[0] != "tmpfs" or "ro" in columns[5].split(","):
            continue
        at = columns[4]
        if any(at == system or at.startswith(f"{system}/") for system in _SYSTEM_MOUNTS):
            continue
        for option in kind[2].split(","):
            name, _, text = option.partition("=")
            if name == "size" and text.rstrip("kmg").isdigit():
                yield at, int(text.rstrip("kmg")) * _SIZES[text[len(text.rstrip("kmg")) :]]


def _shown(base: Path, level: Path) -> str:
    return f"/{level.relative_to(base)}"


def _cpu_limit(level: Path, mount: _Mount) -> float | None:
    if mount.kind == "cgroup2":
        quota, _, period = _first(level / "cpu.max").partition(" ")
    elif "cpu" in mount.controllers:
        quota, period = _first(level / "cpu.cfs_quota_us"), _first(level / "cpu.cfs_period_us")
    else:
        return None
    if quota.isdigit() and period.isdigit() and int(period) > 0 and int(quota) > 0:
        return int(quota) / int(period)
    return None


def _memory_limit(level: Path, mount: _Mount) -> int | None:
    if mount.kind == "cgroup2":
        text = _first(level / "memory.max")
    elif "memory" in mount.controllers:
        text = _first(level / "memory.limit_in_bytes")
    else:
        return None
    return int(text) if text.isdigit() and int(text) < V1_NO_LIMIT else None


def _machine_memory(base: Path) -> int | None:
    for line in _lines(base / "proc/meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) * 1024
    return None


def _first(path: Path) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
