"""Everything an instance stands on: directory, sockets, addresses, rendered files. Built first, left last.

Rule: what was made is unmade in the opposite order, also when a later step of the start fails.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from typing import Final

from passenger.clock import Clock
from passenger.config.paths import InstancePaths
from passenger.instance.directory import InstanceDirectory, create
from passenger.instance.plan import Plan
from passenger.instance.registry import properties
from passenger.instance.roles import Roles
from passenger.log import Log
from passenger.posix.sockets import ENOUGH_BACKLOG, bind_unix, usable_backlog
from passenger.watchdog.announcement import Announcer
from passenger.watchdog.child import Reaper
from passenger.watchdog.environment import Surroundings
from passenger.watchdog.errorlog import ErrorLog
from passenger.watchdog.generations import Generations
from passenger.watchdog.listeners import Listeners
from passenger.watchdog.logpipe import LogPipe
from passenger.watchdog.loop import Loop
from passenger.watchdog.orphans import Orphans

REFRESH: Final = 30 * 60.0
"""Seconds between renewals of the file times (cleaners of temporary folders look at them)."""


class House:
    """Raises HostError when something cannot be had; then everything made so far is gone again."""

    def __init__(
        self, plan: Plan, *, loop: Loop, clock: Clock, log: Log, surroundings: Surroundings, announcer: Announcer
    ) -> None:
        self.loop = loop
        self.surroundings = surroundings
        self.announcer = announcer
        self.reaper = Reaper()
        self.orphans = Orphans(loop, self.reaper, log)
        self.paths = InstancePaths(root=plan.instance_dir)
        self.roles = Roles(owner=os.geteuid(), reader_uids=plan.reader_uids, reader_gids=plan.reader_gids)
        self.listeners = Listeners()
        self.log_pipe = LogPipe(
            environ=surroundings.child_environ,
            umask=surroundings.umask,
            log=log,
            loop=loop,
            is_own_file=bool(plan.log_file),
        )
        self.error_log = ErrorLog(loop, log)
        self.sockets: dict[str, socket.socket] = {}
        self._clock = clock
        self._created_at = clock.wall()
        self._log = log
        self._stack = ExitStack()
        self._stack.callback(self.error_log.close)
        self._stack.callback(self.log_pipe.close)
        try:
            self.directory = self._directory()
            self._furnish(plan)
        except BaseException:
            self._stack.close()
            raise

    def announce(self, plan: Plan) -> None:
        """The instance can be found from now on."""
        self.directory.finalize()
        self._refresh()
        self.announcer.ready(plan.name, plan.urls)

    def describe(self, plan: Plan) -> None:
        """Write what commands and people may know about the instance."""
        document = properties(
            name=plan.name,
            version=plan.version,
            watchdog_pid=os.getpid(),
            created_at=self._created_at,
            config_files=plan.config_files,
            urls=plan.urls,
            listen=plan.nginx_listen if plan.nginx_mode == "managed" else [],
        )
        self.directory.write_json("properties.json", document, mode=0o644)
        self.directory.write_json("config.json", plan.shown_config)

    def close(self) -> None:
        self._stack.close()

    def _directory(self) -> InstanceDirectory:
        directory = create(self.paths, euid=os.geteuid())
        self._stack.callback(directory.close)
        self._stack.callback(self._remove, directory)
        return directory

    def _furnish(self, plan: Plan) -> None:
        self.describe(plan)
        self.directory.make_folder("apps", mode=plan.apps_dir_mode, uid=plan.core_uid, gid=plan.core_gid)
        self.directory.make_folder("nginx", mode=0o711 if os.geteuid() == 0 else 0o700)
        self._stack.callback(self.listeners.close)
        if plan.nginx_mode == "managed":
            self.listeners.add(plan.nginx_listen)
        backlog = usable_backlog()
        if backlog < ENOUGH_BACKLOG:
            self._log.warn("the kernel's accept queue is short: bursts may be refused", somaxconn=backlog)
        self._bind("request", mode=0o660, gid=plan.request_gid)
        self._bind("request_http", mode=0o660, gid=plan.request_gid)
        self._bind("core_api", mode=0o600)
        self.watchdog_api = bind_unix(self.paths.watchdog_api, mode=0o600)
        self._stack.callback(self.watchdog_api.close)
        self.watchdog_readers = self._bind_for_readers()
        self.generations = Generations(self.paths.nginx)
        if plan.nginx_files:
            self.generations.switch(self.generations.write(plan.nginx_files))

    def _bind(self, name: str, *, mode: int, gid: int | None = None) -> None:
        listener = bind_unix(f"{self.paths.root}/{name}", mode=mode, gid=gid, backlog=usable_backlog())
        self.sockets[name] = listener
        self._stack.callback(listener.close)

    def _bind_for_readers(self) -> socket.socket | None:
        if not self.roles.has_readers:
            return None
        mode, gid = self.roles.socket_rights()
        self._bind("core_api_ro", mode=mode, gid=gid)
        listener = bind_unix(self.paths.watchdog_api_readers, mode=mode, gid=gid)
        self._stack.callback(listener.close)
        return listener

    def _refresh(self) -> None:
        self.directory.refresh()
        self.loop.after(REFRESH, self._refresh)

    def _remove(self, directory: InstanceDirectory) -> None:
        for failure in directory.remove():
            self._log.warn("could not remove a part of the instance directory", what=failure)
