"""How many CPUs and how much memory this process may use: the machine's, cut by every cgroup above us (v1 and v2).

Pure over a root folder: tests hand in a tree of files. A file that is missing or odd sets no limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

V1_NO_LIMIT: Final = 1 << 60
"""Bytes; v1 writes a page-rounded 2**63 for "no limit"."""


@dataclass(frozen=True, slots=True)
class _Mount:
    kind: str
    inside: str
    """Path within the hierarchy that is mounted."""
    at: str
    controllers: frozenset[str]


def visible_cpus(*, root: str = "/", affinity: int | None = None) -> float:
    """CPUs, possibly a fraction. `affinity`: how many the scheduler lets this process run on (None = ask)."""
    base = Path(root)
    cpus = float(len(os.sched_getaffinity(0)) if affinity is None else affinity)
    limits = (_cpu_limit(level, mount) for mount, level in _levels(base))
    return min((limit for limit in limits if limit is not None and limit < cpus), default=cpus)


def visible_memory(*, root: str = "/") -> int | None:
    """Bytes; None = unknown."""
    base = Path(root)
    limits = [_memory_limit(level, mount) for mount, level in _levels(base)]
    return min((limit for limit in [_machine_memory(base), *limits] if limit is not None), default=None)


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
