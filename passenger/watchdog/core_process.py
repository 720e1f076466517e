"""The core as the watchdog sees it: a child with a feedback channel and the sockets that outlive it.

Rules.
1. The core gets the listening sockets, its feedback channel and its CoreLaunch, and no other descriptor.
2. A channel that ends while the process lives is a failure; one that ends because the process died is not reported
   twice: the exit gets a moment to arrive first.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from passenger.errors import HostError
from passenger.instance.early_launch import send_launch
from passenger.instance.plan import CoreLaunch, Plan, to_memory
from passenger.instance.variables import LAUNCH_FD_VARIABLE
from passenger.watchdog.channel import Channel
from passenger.watchdog.child import Child, Reaper, describe, runs_as
from passenger.watchdog.early_core import BegunCore, early_core
from passenger.watchdog.environment import Surroundings
from passenger.watchdog.kept import Kept
from passenger.watchdog.launch import Identity, launch
from passenger.watchdog.loop import Loop

NOT_KNOWN_HERE: Final = -1
"""The number of a descriptor that the core has already."""
EXIT_GRACE: Final = 0.5
"""Seconds between the end of the channel and the exit that usually explains it."""


class CoreProcess:
    """At most one core. Reports by `on_message`, `on_unwell(reason)` and `on_gone(child, reason)`."""

    def __init__(
        self,
        loop: Loop,
        reaper: Reaper,
        surroundings: Surroundings,
        sockets: Mapping[str, socket.socket],
        *,
        status_wanted: bool,
        on_message: Callable[[dict[str, Any]], None],
        on_unwell: Callable[[str], None],
        on_gone: Callable[[Child, str], None],
    ) -> None:
        self.child: Child | None = None
        self.kept = Kept()
        self._loop = loop
        self._reaper = reaper
        self._surroundings = surroundings
        self._sockets = sockets
        self._early = early_core(surroundings.early_core)
        self._status_wanted = status_wanted
        self._on_message = on_message
        self._on_unwell = on_unwell
        self._on_gone = on_gone
        self._channel: Channel | None = None

    def start(self, plan: Plan) -> None:
        """Start a core, or have the one begin that waits already. Raises HostError."""
        identity = Identity(plan.core_uid, plan.core_gid or 0) if plan.core_uid else None  # 0 = it keeps root
        begun = self._waiting(plan, identity) or self._begin(plan, identity)
        child = Child("core", begun.pid, started_at=self._loop.clock.monotonic(), on_exit=self._exit)
        self.child = child
        self._reaper.add(child)
        self._surroundings.restore_oom_score(child.pid)
        self._channel = Channel(
            self._loop, begun.channel, on_message=self._on_message, on_end=lambda why: self._channel_ended(child, why)
        )
        if identity is not None and not runs_as(child.pid, user=identity.uid, group=identity.gid):
            self._on_unwell(f"does not run as user {identity.uid} and group {identity.gid}")

    def _begin(self, plan: Plan, identity: Identity | None) -> BegunCore:
        ours, theirs = socket.socketpair()
        launch_fd = to_memory(self._launch(plan, theirs.fileno()))
        listening = [listener.fileno() for listener in self._sockets.values()]
        try:
            pid = launch(
                plan.core_argv,
                env=self._surroundings.child_environ | {LAUNCH_FD_VARIABLE: str(launch_fd)},
                fds=[*listening, theirs.fileno(), launch_fd],
                umask=self._surroundings.umask,
                identity=identity,
            )
        except HostError:
            ours.close()
            raise
        finally:
            os.close(launch_fd)
            theirs.close()
        return BegunCore(pid, ours)

    def _waiting(self, plan: Plan, identity: Identity | None) -> BegunCore | None:
        """The core that `passenger start` has begun, the first time; None when there is none that can be used."""
        early, self._early = self._early, None
        if early is not None and identity is None and early.is_alive():
            with contextlib.suppress(OSError):  # it died meanwhile
                send_launch(early.channel, self._launch(plan, NOT_KNOWN_HERE), self._sockets)
                return early
        if early is not None:
            early.channel.close()
        return None

    def send(self, message: Mapping[str, Any]) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def send_descriptor(self, message: Mapping[str, Any], descriptor: int) -> None:
        """A core that does not take it gets no second chance: the next one inherits the right descriptors."""
        if self._channel is not None and not self._channel.send_descriptor(message, descriptor):
            self._on_unwell("does not read what the watchdog sends")

    def signal(self, number: int) -> None:
        """To its process group."""
        if self.child is not None:
            self.child.signal_group(number)

    def _launch(self, plan: Plan, feedback_fd: int) -> CoreLaunch:
        return CoreLaunch(
            name=plan.name,
            version=plan.version,
            instance_dir=plan.instance_dir,
            config=plan.core_config,
            connect_secret=plan.connect_secret,
            allowed_uids=plan.allowed_uids or [os.geteuid()],
            sockets={name: listener.fileno() for name, listener in self._sockets.items()},
            owner_uid=os.geteuid(),
            reader_uids=plan.reader_uids,
            reader_gids=plan.reader_gids,
            feedback_fd=feedback_fd,
            log_level=plan.log_level,
            log_format=plan.log_format,
            kept=self.kept.all(),
            status_wanted=self._status_wanted,
        )

    def _channel_ended(self, child: Child, why: str) -> None:
        self._loop.after(EXIT_GRACE, lambda: self._on_unwell(why) if self.child is child else None)

    def _exit(self, child: Child, status: int) -> None:
        self.child = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._on_gone(child, describe(status))
