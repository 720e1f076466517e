"""One run of a hook: started as a user without rights, its output in the log, ended in time with all its children.

Rules.
1. Never as root. A core that is root runs hooks as `core.user`, else `core.default_user`, as it would run itself
   without root; one that is not, as itself.
2. It leads a session of its own. When it has ended, or its time is over, nothing of that session stays.
3. The program is executed from a thread: a file system that hangs holds up this hook and nothing else.
4. Its output goes to the log within the allowance that applications have; what is written too fast is dropped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Final

from passenger.config.accounts import Accounts
from passenger.config.identity import Wish
from passenger.config.instance import Core
from passenger.log import Log
from passenger.posix import process
from passenger.posix.exits import ExitWatch
from passenger.posix.users import Identity, IdentityError, identity_for
from passenger.spawn.output import LogStream, OutputReader

GRACE: Final = 5.0
"""Seconds from SIGTERM to SIGKILL."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def hook_identity(core: Core, accounts: Accounts) -> Identity:
    """Who hooks run as (rule 1). Raises IdentityError."""
    is_root = os.geteuid() == 0
    wish = Wish(
        user=core.user if is_root else None,
        group=None,
        owner=None,
        default_user=core.default_user,
        default_group=core.default_group,
    )
    return identity_for(wish, own_uid=os.geteuid(), own_gid=os.getegid(), own_groups=os.getgroups(), accounts=accounts)


class HookRunner:
    """Runs hooks as one user."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, identity: Callable[[], Identity], log: Log) -> None:
        """`identity` is asked for each run. Raises IdentityError there."""
        self._loop = loop
        self._identity = identity
        self._log = log

    async def run(self, event: str, command: tuple[str, ...], environ: Mapping[str, str], seconds: float) -> str:
        """ "" when it ended with status 0 in time, else what went wrong. The deadline is kept here, to the kill."""
        try:
            identity = self._identity()
        except IdentityError as error:
            return f"nobody to run it as: {error.message}"
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(read, False)
        try:
            child = await self._start(command, environ, identity, write)
        except (OSError, subprocess.SubprocessError) as error:
            os.close(read)
            return f"{command[0]} cannot be run as user {identity.account.name}: {_reason(error)}"
        finally:
            os.close(write)
        stream = LogStream(log=self._log, app=event, pid=child.pid, stream="output", said="hook")
        reader = OutputReader(loop=self._loop, fd=read, take=stream.feed, tick=stream.tick)
        try:
            return await self._watch(child, seconds)
        finally:
            reader.drain()
            reader.close()
            stream.end()

    async def _start(
        self, command: tuple[str, ...], environ: Mapping[str, str], identity: Identity, output: int
    ) -> subprocess.Popen[bytes]:
        account = identity.account
        known = {"PATH": PATH, "HOME": account.home or "/", "USER": account.name, "LOGNAME": account.name}
        start = self._loop.run_in_executor(
            None,
            lambda: process.start(command, environ={**known, **environ}, identity=identity, inherit=(), output=output),
        )
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            start.add_done_callback(_abandon)
            raise

    async def _watch(self, child: subprocess.Popen[bytes], seconds: float) -> str:
        ended: asyncio.Future[int | None] = self._loop.create_future()

        def on_exit(status: int | None) -> None:
            child.returncode = 0 if status is None else status  # reaped by us, not by `subprocess`
            if not ended.done():
                ended.set_result(status)

        try:
            ExitWatch(
                loop=self._loop,
                pid=child.pid,
                before_reap=lambda: process.sweep_session(child.pid),
                on_exit=on_exit,
            )
        except OSError:  # nobody could look after it
            process.sweep_session(child.pid)
            child.wait()
            raise
        try:
            await asyncio.wait([ended], timeout=seconds)
            is_late = not ended.done()
            if is_late:
                process.signal_group(child.pid, signal.SIGTERM)
                await asyncio.wait([ended], timeout=GRACE)
            if not ended.done():
                process.sweep_session(child.pid)
            status = await ended
        except asyncio.CancelledError:
            if not ended.done():
                process.sweep_session(child.pid)
                await asyncio.wait([ended], timeout=GRACE)
            raise
        if is_late:
            return f"it did not end within {seconds:g} s"
        if status is None or status == 0:
            return ""
        return f"signal {-status}" if status < 0 else f"exit status {status}"


def _abandon(start: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    """Started for somebody who has gone."""
    if not start.cancelled() and start.exception() is None:
        child = start.result()
        process.sweep_session(child.pid)
        child.wait()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
