"""Everything an instance stands on: directory, sockets, addresses, rendered files. Built first, left last.

Rule: what was made is unmade in the opposite order, also when a later step of the start fails.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Final

from passenger.clock import Clock
from passenger.instance.plan import Plan
from passenger.instance.registry import properties
from passenger.instance.roles import Roles
from passenger.log import Log
from passenger.posix.activation import Given
from passenger.posix.sockets import ENOUGH_BACKLOG, usable_backlog
from passenger.watchdog.announcement import Announcer
from passenger.watchdog.child import Reaper
from passenger.watchdog.config_watch import ConfigWatch
from passenger.watchdog.environment import Surroundings
from passenger.watchdog.errorlog import ErrorLog
from passenger.watchdog.interior import Described, Interior
from passenger.watchdog.listeners import Listeners
from passenger.watchdog.logpipe import LogPipe
from passenger.watchdog.loop import Loop
from passenger.watchdog.notifier import Notifier
from passenger.watchdog.orphans import Orphans

REFRESH: Final = 30 * 60.0
"""Seconds between renewals of the file times (cleaners of temporary folders look at them)."""


class House:
    """Raises HostError when something cannot be had; then everything made so far is gone again."""

    def __init__(
        self,
        plan: Plan,
        *,
        loop: Loop,
        clock: Clock,
        log: Log,
        surroundings: Surroundings,
        announcer: Announcer,
        given: Given,
    ) -> None:
        self.loop = loop
        self.surroundings = surroundings
        self.announcer = announcer
        self.given = given
        self.notifier = Notifier(address=given.notify_address, fd=given.notify_fd, log=log)
        self.reaper = Reaper()
        self.orphans = Orphans(loop, self.reaper, log)
        self.roles = Roles(owner=os.geteuid(), reader_uids=plan.reader_uids, reader_gids=plan.reader_gids)
        self.listeners = Listeners(given.listen_fds, log)
        self.log_pipe = LogPipe(
            environ=surroundings.child_environ,
            umask=surroundings.umask,
            log=log,
            loop=loop,
            is_own_file=bool(plan.log_file),
        )
        self.error_log = ErrorLog(loop, log)
        self.config_watch = ConfigWatch(loop, log)
        self.interior = Interior(plan, roles=self.roles, log=log, describe=self._description)
        self._clock = clock
        self._created_at = clock.wall()
        self._log = log
        self._stack = ExitStack()
        self._stack.callback(self.config_watch.close)
        self._stack.callback(self.error_log.close)
        self._stack.callback(self.log_pipe.close)
        self._stack.callback(self.interior.close)
        self._stack.callback(self.listeners.close)
        try:
            self.interior.make(plan)
            self._take_addresses(plan)
        except BaseException:
            self._stack.close()
            raise

    def announce(self, plan: Plan) -> None:
        """The instance can be found from now on."""
        self.interior.finalize()
        self._refresh()
        if plan.log_format == "json":
            for app, url in plan.urls.items():
                self._log.info("served", app=app, url=url)
        self.announcer.ready({} if plan.log_format == "json" else plan.urls)

    def close(self) -> None:
        self._stack.close()

    def _take_addresses(self, plan: Plan) -> None:
        if plan.nginx_mode == "managed":
            self.listeners.add(plan.nginx_listen)
        self.listeners.tell_of_strangers()
        backlog = usable_backlog()
        if backlog < ENOUGH_BACKLOG:
            self._log.warn("the kernel's accept queue is short: bursts may be refused", somaxconn=backlog)

    def _description(self, plan: Plan) -> Described:
        document = properties(
            name=plan.name,
            version=plan.version,
            watchdog_pid=os.getpid(),
            created_at=self._created_at,
            config_files=plan.config_files,
            urls=plan.urls,
            listen=plan.nginx_listen if plan.nginx_mode == "managed" else [],
        )
        return {"properties.json": (document, 0o644), "config.json": (plan.shown_config, 0o600)}

    def _refresh(self) -> None:
        self.interior.refresh()
        self.loop.after(REFRESH, self._refresh)
