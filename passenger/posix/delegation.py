"""The cgroup (v2) that was delegated to this instance, and the cgroups of its applications in it.

    OWN                        what the service manager gave us (Delegate=yes)
    ├── passenger-core         where everything that was in OWN goes: limits can be set only below an empty cgroup
    ├── app-blog               processes of the application `blog`, with its limits
    └── app-shop

In the root cgroup of a machine, which nobody has alone, OWN is a folder `passenger-INSTANCE` in it, and nothing moves.

Rules.
1. Only processes of this instance are moved: if there are others in OWN, it is not ours alone, and that is an error.
2. What cannot be set is an error, never passed over.
3. A cgroup that is left from a core that died is used again; the last core removes what it made.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from passenger.config import amounts
from passenger.config.app_limits import AppLimits
from passenger.config.bounds import controllers, wants_cgroup
from passenger.errors import HostError
from passenger.posix.cgroup import own_v2_folder

LEAF: Final = "passenger-core"
PERIOD: Final = 100_000
"""Microseconds over which the kernel counts CPU time, its own default."""
ROUNDS: Final = 10
"""Tries to move processes that fork meanwhile."""
EMPTY_AFTER: Final = 2.0
"""Seconds that killed processes get to leave a cgroup."""


def own_cgroup(*, root: str = "/") -> Path | None:
    """The folder of this process's cgroup; None where there is no cgroup v2."""
    folder = own_v2_folder(root=root)
    return folder.parent if folder is not None and folder.name == LEAF else folder


def problem_of(own: Path | None) -> str:
    """Why no cgroups can be made below a cgroup; "" when they can."""
    if own is None:
        return "this machine has no cgroup v2"
    for path in (own, own / "cgroup.procs", own / "cgroup.subtree_control"):
        if not os.access(path, os.W_OK):
            return f"{own} is not delegated: {path} is not ours to write"
    return ""


def controllers_of(own: Path | None) -> frozenset[str]:
    """The controllers that may be used below a cgroup."""
    return frozenset() if own is None else frozenset(_read(own / "cgroup.controllers").split())


class AppCgroups:
    """The cgroups of one instance's applications. Nothing is made before an application wants one.

    `is_ours` says of a pid in OWN whether it belongs to this instance.
    """

    def __init__(self, instance: str, *, own: Path | None, memory: int | None, is_ours: Callable[[int], bool]) -> None:
        self._instance = instance
        self._own = own
        self._memory = memory
        self._is_ours = is_ours
        self._base: Path | None = None
        self._enabled: set[str] = set()
        self._made: dict[str, Path] = {}
        self._new: list[str] = []

    def apply(self, apps: Mapping[str, AppLimits]) -> None:
        """Make the cgroups of these applications and set their limits. Raises HostError, naming the application."""
        for name, app in apps.items():
            if wants_cgroup(app) or name in self._made:
                try:
                    self._set_limits(self._folder(name, controllers(app)), app)
                except OSError as error:
                    raise HostError(
                        f"the cgroup of application {name} cannot be set up: {error.filename}: {error.strerror}",
                        hint="see `passenger validate`; the service needs `Delegate=yes`",
                    ) from error

    def take_new(self) -> list[str]:
        """Applications whose cgroups were made since this was asked last."""
        new, self._new = self._new, []
        return new

    def join(self, name: str, pid: int) -> None:
        """Put a process into the cgroup of its application, if that has one. Raises OSError."""
        if name in self._made:
            _write(self._made[name] / "cgroup.procs", str(pid))

    def path_of(self, name: str) -> str | None:
        found = self._made.get(name)
        return None if found is None else str(found)

    def memory_of(self, name: str) -> int | None:
        """Bytes that the processes of an application take together; None where the kernel does not count them."""
        text = _read(self._made[name] / "memory.current").strip() if name in self._made else ""
        return int(text) if text.isdigit() else None

    def remove(self) -> None:
        """End what is left in the applications' cgroups, and remove those."""
        for folder in self._made.values():
            with contextlib.suppress(OSError):  # a kernel before 5.14, or everything has gone already
                _write(folder / "cgroup.kill", "1")
            _wait_until_empty(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._made.clear()
        if self._base is not None and self._base != self._own:
            with contextlib.suppress(OSError):
                self._base.rmdir()

    def _folder(self, name: str, wanted: set[str]) -> Path:
        if self._base is None:
            self._base = self._begin()
        if missing := wanted - self._enabled:
            for level in {self._own, self._base}:
                if level is not None:
                    _write(level / "cgroup.subtree_control", " ".join(f"+{one}" for one in sorted(missing)))
            self._enabled |= missing
        folder = self._base / f"app-{name}"
        folder.mkdir(exist_ok=True)
        if name not in self._made:
            self._made[name] = folder
            self._new.append(name)
        return folder

    def _begin(self) -> Path:
        problem = problem_of(self._own)
        if self._own is None or problem:
            raise HostError(
                f"no cgroups can be made for applications: {problem}",
                hint="run Passenger as a systemd service with `Delegate=yes`, or remove the `cgroup` tables",
            )
        if not (self._own / "cgroup.type").exists():  # the root of the machine has none
            base = self._own / f"passenger-{self._instance}"
            base.mkdir(exist_ok=True)
            return base
        self._make_room(self._own)
        return self._own

    def _make_room(self, own: Path) -> None:
        """Move every process of the cgroup into a leaf of it."""
        leaf = own / LEAF
        leaf.mkdir(exist_ok=True)
        for _ in range(ROUNDS):
            pids = [int(line) for line in _read(own / "cgroup.procs").split()]
            if not pids:
                return
            if strangers := [pid for pid in pids if not self._is_ours(pid)]:
                raise HostError(
                    f"the cgroup {own} holds processes of others (pid {strangers[0]}): applications cannot get cgroups",
                    hint="give each instance a service of its own, with `Delegate=yes`",
                )
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    _write(leaf / "cgroup.procs", str(pid))
        raise HostError(f"the cgroup {own} does not become empty", hint="look for a process that forks all the time")

    def _set_limits(self, folder: Path, app: AppLimits) -> None:
        table = app.cgroup
        memory_max = amounts.memory(table.memory_max, self._memory)
        memory_high = amounts.memory(table.memory_high, self._memory)
        cpu = None if table.cpu_max is None else f"{max(1000, int(amounts.cpus(table.cpu_max) * PERIOD))} {PERIOD}"
        values = {
            "memory.high": memory_high,
            "memory.max": memory_max,
            "cpu.max": cpu,
            "pids.max": table.pids_max,
        }
        for file, value in values.items():
            if value is not None or (folder / file).exists():
                _write(folder / file, "max" if value is None else str(value))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """One write, as the kernel wants it; the file is never made. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(fd)


def _wait_until_empty(folder: Path) -> None:
    """Until the kernel says that no process is in a cgroup, at most EMPTY_AFTER seconds."""
    try:
        fd = os.open(folder / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        while b"populated 1" in os.pread(fd, 4096, 0):
            if not poll.poll(EMPTY_AFTER * 1000):
                return
    finally:
        os.close(fd)
