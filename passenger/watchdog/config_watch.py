"""Reloads by themselves (`reload_on_change`): the kernel tells when a name on the way to a configuration file changes.

Rules.
1. What counts is the way, not the file: every symbolic link in a path is a name that somebody may switch, such as the
   `..data` of a Kubernetes ConfigMap, and each new version of a file may be another file.
2. A reload follows when nothing has changed for SETTLE seconds: who writes several files gets one.
3. The ways are found again before each reload, so that a change during it is seen, too. What cannot be watched is said
   once; the instance runs all the same, and `passenger reload` works.
4. Nothing is opened or read here. While the key is off there is no descriptor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from passenger.instance.plan import Plan
from passenger.log import Log
from passenger.posix.inotify import FolderEvents
from passenger.watchdog.loop import READ, Loop, Timer

SETTLE: Final = 0.5
CONF_D: Final = "conf.d"
_MOST_LINKS: Final = 40


class ConfigWatch:
    """`follow` each plan that runs; `on_change` reloads, and says False when that is not possible yet."""

    def __init__(self, loop: Loop, log: Log) -> None:
        self.on_change: Callable[[], bool] = lambda: True
        self._loop = loop
        self._log = log
        self._plan: Plan | None = None
        self._events: FolderEvents | None = None
        self._names: dict[int, set[str]] = {}
        self._timer: Timer | None = None

    def follow(self, plan: Plan) -> None:
        """Watch what this plan was made of, or nothing."""
        self._plan = plan
        self._forget()
        if not plan.reload_on_change or not plan.config_files:
            return
        try:
            self._events = FolderEvents()
            for folder, names in watched(plan.config_files).items():
                self._names.setdefault(self._events.add(folder), set()).update(names)
        except OSError as error:
            self._log.warn(
                "changes of the configuration are not noticed: use `passenger reload`",
                folder=error.filename or "", reason=error.strerror or str(error),
            )  # fmt: skip
        if self._events is not None:
            self._loop.watch(self._events.fd, READ, lambda _: self._happened())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._forget()

    def _forget(self) -> None:
        self._names.clear()
        events, self._events = self._events, None
        if events is not None:
            self._loop.unwatch(events.fd)
            events.close()

    def _happened(self) -> None:
        if self._events is None:
            return
        if any(self._matters(number, name) for number, name in self._events.read()):
            self._wait()

    def _matters(self, number: int, name: str) -> bool:
        names = self._names.get(number, set())
        return number < 0 or name in names or (not name.startswith(".") and name.endswith(tuple(_patterns(names))))

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(SETTLE, self._settled)

    def _settled(self) -> None:
        if self._plan is None:
            return
        self.follow(self._plan)
        if self.on_change():
            self._log.info("the configuration has changed: reloading")
        else:
            self._wait()


def watched(files: list[str]) -> dict[str, set[str]]:
    """Folder -> names in it that lead to a file; `*.toml` stands for all of them (the folder `conf.d`)."""
    found: dict[str, set[str]] = {}
    for file in files:
        _walk(os.path.abspath(file), found)
    beside = os.path.join(os.path.dirname(os.path.abspath(files[0])), CONF_D)
    _walk(beside, found)
    if os.path.isdir(beside):
        found.setdefault(os.path.realpath(beside), set()).add("*.toml")
    return found


def _walk(path: str, found: dict[str, set[str]]) -> None:
    """Note the last name of a path, and every link on the way to it; of what is missing, where it would appear."""
    left, here, links = [part for part in path.split("/") if part], "/", 0
    while left:
        part = left.pop(0)
        if part in {".", ".."}:
            here = here if part == "." else os.path.dirname(here)
            continue
        step = os.path.join(here, part)
        try:
            target = os.readlink(step)
        except OSError:
            target = ""
        is_missing = not target and not os.path.lexists(step)
        if target or is_missing or not left:
            found.setdefault(here, set()).add(part)
        if is_missing:
            return
        if not target:
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        left = [word for word in target.split("/") if word] + left
        here = "/" if target.startswith("/") else here


def _patterns(names: set[str]) -> list[str]:
    return [name[1:] for name in names if name.startswith("*")]
