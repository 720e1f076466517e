"""A process that a preloader forked: no child of ours, known by a pidfd that was checked before anything was believed.

Rules.
1. It must be of the application's user, and a child of the preloader or in its session; the preloader's word alone
   counts for nothing (CVE-2018-12028).
2. It is signalled by its pidfd. What else lives in a session that it made itself is signalled and swept with it;
   a session that it shares with the preloader is not its own.
3. The connection on which it was asked for is its stdin and stdout: half-closing it is the end of its stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

from passenger.log import Log
from passenger.posix import descendants
from passenger.posix.descendants import EndWatch, Facts
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.running import StartedProcess
from passenger.spawn.spec import SpawnSpec


def verified(pid: int, *, preloader: int, uid: int) -> tuple[Facts, int]:
    """Facts and pidfd (the caller's to close) of a process that a preloader says it forked. Raises SpawnFailure."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise SpawnFailure("foreign-pid", f"it says that it forked process {pid}: {error.strerror}") from error
    facts = descendants.facts_of(pid)
    if descendants.is_dead(pidfd):  # only a zombie can still be said to be the process of the pidfd
        facts = descendants.facts_of(pid)
        facts = facts if facts is not None and facts.state == "Z" else None
    problem = _problem(facts, pid, preloader, uid)
    if facts is None or problem:
        os.close(pidfd)
        raise SpawnFailure("foreign-pid", f"it says that it forked process {pid}, {problem}")
    return facts, pidfd


def _problem(facts: Facts | None, pid: int, preloader: int, uid: int) -> str:
    if facts is None:
        return "which is gone"
    if pid == preloader:
        return "which is the preloader itself"
    if set(facts.uids) != {uid}:
        return f"which belongs to user {facts.uids[0]}, not to {uid}"
    if preloader not in {facts.parent, facts.session}:
        return "which is not its child"
    return ""


class ForkedProcess(StartedProcess):
    """Implements `RunningProcess`. Takes over the connection and both descriptors."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        spec: SpawnSpec,
        facts: Facts,
        pidfd: int,
        connection: socket.socket,
        stderr: int,
        gupid: str,
        password: str,
        at_end: Callable[[], None],
    ) -> None:
        """`at_end` is called before its exit is told, to read last words that went elsewhere."""
        super().__init__(loop=loop, log=log, spec=spec, pid=facts.pid, gupid=gupid, password=password)
        self._facts = facts
        self._connection = connection
        self._at_end = at_end
        self.stdout = self._reader(os.dup(connection.fileno()), "stdout")
        self._reader(stderr, "stderr")
        self._watch = EndWatch(loop=loop, facts=facts, pidfd=pidfd, on_end=self._ended)

    def request_stop(self) -> None:
        with contextlib.suppress(OSError):  # it has closed its end, or we ours
            self._connection.shutdown(socket.SHUT_WR)

    def shares_session(self) -> bool:
        """Whether it lives in a session that another process made, the preloader's."""
        if self.exit is not None:
            return False
        now = descendants.facts_of(self.pid)
        return now is not None and now.session != self.pid

    def _signal(self, number: signal.Signals) -> None:
        if self.exit is None:
            self._signal_alone(number)
            descendants.signal_others(self._facts, number)

    def _signal_alone(self, number: signal.Signals) -> None:
        descendants.send(self._watch.pidfd, number)

    def _say(self, data: bytes) -> bool:
        try:
            return self._connection.send(data) == len(data)
        except BlockingIOError:
            return False

    def _close_input(self) -> None:
        self._connection.close()

    def _ended(self, status: int | None) -> None:
        descendants.signal_others(self._facts, signal.SIGKILL)
        self._at_end()
        self._has_ended(status)
