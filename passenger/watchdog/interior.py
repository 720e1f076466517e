"""What lies in the instance directory: sockets, descriptions, rendered files. Made again if somebody deletes it.

Rules (fault matrix D4).
1. What is missing is found by looking, not by being told: a few names relative to descriptors, once a second.
2. Whatever is missing, everything is made anew in a new directory: what is left of the old one is removed first, its
   lock is given up. Somebody else who took the name meanwhile keeps it, and the renewal fails.
3. Sockets cannot be moved: who listens on the old ones must be told or replaced. That is the caller's business.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.config.paths import InstancePaths
from passenger.instance.directory import InstanceDirectory, create
from passenger.instance.plan import Plan
from passenger.instance.roles import Roles
from passenger.log import Log
from passenger.posix.sockets import bind_unix, usable_backlog
from passenger.watchdog.generations import Generations

Described = Mapping[str, tuple[Mapping[str, Any], int]]
"""Name of a file -> its content and mode."""

WATCHDOG_API: Final = "watchdog_api"
WATCHDOG_READERS: Final = "watchdog_api_ro"


class Interior:
    """Raises HostError when it cannot be made; what was made so far is gone again after `close`."""

    def __init__(self, plan: Plan, *, roles: Roles, log: Log, describe: Callable[[Plan], Described]) -> None:
        self.paths = InstancePaths(root=plan.instance_dir)
        self.generations = Generations(self.paths.nginx)
        self.for_core: dict[str, socket.socket] = {}
        """Listening sockets that the core inherits, by name. Always the same dictionary."""
        self.for_us: dict[str, socket.socket] = {}
        """Those that the watchdog answers on itself. Always the same dictionary."""
        self.on_new_sockets: Callable[[], None] = lambda: None
        """For those who answer on `for_us`."""
        self._roles = roles
        self._log = log
        self._describe = describe
        self._directory: InstanceDirectory | None = None
        self._names: list[str] = []
        self._is_final = False
        self._is_leaving = False

    def make(self, plan: Plan) -> None:
        directory = self._directory = create(self.paths, euid=os.geteuid())
        self.describe(plan)
        directory.make_folder("apps", mode=plan.apps_dir_mode, uid=plan.core_uid, gid=plan.core_gid)
        directory.make_folder("nginx", mode=0o711 if os.geteuid() == 0 else 0o700)
        self._bind(self.for_core, "request", mode=0o660, gid=plan.request_gid)
        self._bind(self.for_core, "request_http", mode=0o660, gid=plan.request_gid)
        self._bind(self.for_core, "core_api", mode=0o600)
        self._bind(self.for_us, WATCHDOG_API, mode=0o600)
        if self._roles.has_readers:
            mode, gid = self._roles.socket_rights()
            self._bind(self.for_core, "core_api_ro", mode=mode, gid=gid)
            self._bind(self.for_us, WATCHDOG_READERS, mode=mode, gid=gid)
        if self._is_leaving:
            _touch(self.paths.leaving)
        if plan.nginx_files:
            self.generations.switch(self.generations.write(plan.nginx_files))
        rendered = ["nginx/current"] if plan.nginx_files else []
        self._names = ["lock", "apps", "nginx", *rendered, *self._describe(plan), *self.for_core, *self.for_us]
        if self._is_final:
            self.finalize()

    def renew(self, plan: Plan) -> None:
        """Make everything anew. Raises HostError; then nothing is there, and it can be tried again."""
        self.close()
        try:
            self.make(plan)
        except BaseException:
            self.close()
            raise
        self.on_new_sockets()

    def missing(self) -> str:
        """The path of something that is not there any more; "" when all is well."""
        if self._directory is None:
            return self.paths.root
        gone = self._directory.missing(self._names)
        return os.path.normpath(f"{self.paths.root}/{gone}") if gone else ""

    def describe(self, plan: Plan) -> None:
        """Write what commands and people may know about the instance."""
        if self._directory is not None:
            for name, (document, mode) in self._describe(plan).items():
                self._directory.write_json(name, document, mode=mode)

    def finalize(self) -> None:
        """Commands find the instance from now on."""
        self._is_final = True
        if self._directory is not None:
            self._directory.finalize()

    def leave(self) -> None:
        """Have nginx tell its clients to leave. What fails is logged: they are served all the same."""
        self._is_leaving = True
        try:
            _touch(self.paths.leaving)
        except OSError as error:
            self._log.warn("clients that keep their connections cannot be told to leave", reason=str(error))

    def refresh(self) -> None:
        if self._directory is not None:
            self._directory.refresh()

    def close(self) -> None:
        """Close the sockets, remove the directory if it is still ours, give up the lock."""
        for sockets in (self.for_us, self.for_core):
            for listener in sockets.values():
                listener.close()
            sockets.clear()
        directory, self._directory = self._directory, None
        if directory is not None:
            for failure in directory.remove():
                self._log.warn("could not remove a part of the instance directory", what=failure)
            directory.close()

    def _bind(self, where: dict[str, socket.socket], name: str, *, mode: int, gid: int | None = None) -> None:
        where[name] = bind_unix(f"{self.paths.root}/{name}", mode=mode, gid=gid, backlog=usable_backlog())


def _touch(path: str) -> None:
    """An empty file, which nginx's workers must be able to open."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(fd, 0o644)  # whatever the umask is
    finally:
        os.close(fd)
