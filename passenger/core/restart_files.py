"""`restart.txt` and `always_restart.txt` of every application: looked at from one thread, every `stat_throttle_rate`.

Rules.
1. Files are only looked at (lstat), never opened: a symbolic link, FIFO or folder of the name counts by its own time.
2. `restart.txt`: a time that differs from the one before, earlier or later, or the file appearing, is a restart. The
   first look only records; a file that goes away is no restart.
3. `always_restart.txt`: while it is there processes are started for requests only, and at each look those that have
   served are replaced. So a request never meets code older than one look.
4. Below `app_root` symbolic links are not followed: the application may have made them, and the core may be root.
   `app_root` itself and an absolute `restart_dir` are the operator's words, and followed.
5. A file system that hangs holds up this thread and nothing else; what cannot be looked at is said once.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Callable, Mapping
from typing import Final

from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.log import Log

RESTART: Final = "restart.txt"
ALWAYS: Final = "always_restart.txt"
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen at one look."""

    changed_at: int | None = None
    """Modification time of `restart.txt` in nanoseconds; None = there is none."""
    is_always: bool = False
    trouble: str = ""


def look(app: App) -> Sight:
    """Look at the files of one application. Blocks on the file system: call it in a thread."""
    try:
        folder = _open_folder(app.app_root, app.restart_dir)
    except FileNotFoundError:
        return Sight()
    except OSError as error:
        return Sight(trouble=error.strerror or str(error))
    try:
        restart, always = _lstat(RESTART, folder), _lstat(ALWAYS, folder)
    except OSError as error:
        return Sight(trouble=error.strerror or str(error))
    finally:
        os.close(folder)
    return Sight(changed_at=None if restart is None else restart.st_mtime_ns, is_always=always is not None)


def _open_folder(root: str, below: str) -> int:
    if below.startswith("/"):
        return os.open(below, _FOLDER)
    folder = os.open(root, _FOLDER)
    for part in below.split("/"):
        try:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except NotADirectoryError as error:
            found = _lstat(part, folder)
            is_link = found is not None and stat.S_ISLNK(found.st_mode)
            what = "is a symbolic link, which is not followed" if is_link else "is no folder"
            raise OSError(error.errno, f"{part} {what}") from error
        finally:
            os.close(folder)
        folder = inner
    return folder


def _lstat(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


class RestartFiles:
    """Looks again and again; calls back on the loop.

    `restart(app)` when an application is to be restarted; `always(app, is_so)` after each look at which its file is
    there, and once when it is gone.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        restart: Callable[[str], object],
        always: Callable[[str, bool], object],
    ) -> None:
        self._loop = loop
        self._log = log
        self._restart = restart
        self._always = always
        self._targets: Mapping[str, App] = {}
        self._seen: dict[str, tuple[str, str, Sight]] = {}
        self._rate = 10.0
        self._woken = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="restart files", daemon=True)

    def start(self, apps: Mapping[str, App], rate: float) -> None:
        """Look for the first time now, then every `rate` seconds."""
        self.apply(apps, rate)
        self._thread.start()

    def apply(self, apps: Mapping[str, App], rate: float) -> None:
        """Another set of applications, from the next look on."""
        self._targets, self._rate = apps, rate
        self._seen = {name: seen for name, seen in self._seen.items() if name in apps}
        self._woken.set()

    def close(self) -> None:
        """Look no more. The thread is not waited for: a file system may hang."""
        self._is_closed = True
        self._woken.set()

    def _run(self) -> None:
        while not self._is_closed:
            self._woken.clear()
            targets = self._targets
            sights = {name: look(app) for name, app in targets.items()}
            try:
                self._loop.call_soon_threadsafe(self._take, targets, sights)
            except RuntimeError:  # the loop has ended, and the process is about to
                return
            self._woken.wait(self._rate)

    def _take(self, targets: Mapping[str, App], sights: Mapping[str, Sight]) -> None:
        """On the loop: what one look has brought."""
        if self._is_closed or targets is not self._targets:
            return
        for name, sight in sights.items():
            app = targets[name]
            place = (app.app_root, app.restart_dir)
            before = self._seen.get(name)
            known = before[2] if before is not None and before[:2] == place else None
            self._seen[name] = (*place, sight)
            self._tell(name, known, sight)

    def _tell(self, name: str, known: Sight | None, sight: Sight) -> None:
        if sight.trouble:
            if known is None or known.trouble != sight.trouble:
                hint = "an absolute restart_dir is followed; or restart with `passenger restart-app`"
                self._log.warn("cannot look for restart.txt", app=name, reason=sight.trouble, hint=hint)
            return
        if sight.is_always or (known is not None and known.is_always):
            self._always(name, sight.is_always)
        is_new = known is not None and sight.changed_at not in (None, known.changed_at)
        if is_new:
            self._restart(name)
