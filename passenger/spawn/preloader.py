"""A preloader that is ready: a process that has loaded the application and forks itself on demand.

Rules.
1. It is asked over a connection to its socket, whose other end the kernel says is the preloader.
2. What it says it forked is checked before it is believed; one process is asked for at a time (by the spawner).
3. Its end never ends what it forked, and what others left in its session goes when the last of them has ended.
   Until then somebody listens to its stderr: it is theirs, too, where a preloader does not take the one it is given.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Final

from passenger.log import Log
from passenger.posix import descendants
from passenger.posix.descendants import Facts
from passenger.spawn import sockets
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.forked import ForkedProcess, verified
from passenger.spawn.journey import Journey, Step
from passenger.spawn.launch import output_pipe
from passenger.spawn.output import Capture
from passenger.spawn.running import DirectProcess
from passenger.spawn.spawner import Exit
from passenger.spawn.spec import SpawnSpec
from passenger.wire.preloader import Answer, Forked, ForkTalk, NoAnswer, Refused, fork_command

STOP_PATIENCE: Final = 5.0
"""Seconds between the end of its stdin and SIGKILL."""
LAST_ANSWER: Final = 1.0
"""Seconds in which what a preloader forked before it died may still come forward."""
READ_SIZE: Final = 65536


class Family:
    """What a preloader forked and has not ended, and what that means for the session they may share."""

    def __init__(self) -> None:
        self.members: set[ForkedProcess] = set()
        self.expects_another = False
        """Something may have been forked that has not come forward yet."""

    def is_shared(self) -> bool:
        """Whether some live in the preloader's own session."""
        return self.expects_another or any(member.shares_session() for member in self.members)


class Preloader:
    """Answers as long as its process lives. Takes over the process and its socket file."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        spec: SpawnSpec,
        process: DirectProcess,
        family: Family,
        address: str,
    ) -> None:
        self.spec = spec
        self.is_gone = False
        self._loop = loop
        self._log = log
        self._process = process
        self._family = family
        self._address = address
        self._facts = descendants.facts_of(process.pid)
        self._was_told_to_stop = False
        self._question: asyncio.Future[Answer] | None = None
        process.when_exited(self._ended)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def fork(self, journey: Journey, *, gupid: str, password: str) -> tuple[ForkedProcess, bytes]:
        """A new process, and what it has said already. Raises SpawnFailure; cancelling leaves no connection open."""
        journey.begin(Step.ASK)
        capture = self._process.capture = Capture()  # for a process whose stderr is the preloader's
        stderr, stderr_write = output_pipe(self.spec)
        self._family.expects_another = True
        try:
            connection = self._connect()
            try:
                self._send(connection, stderr_write)
                answer, talk = await self._answer(connection)
                journey.begin(Step.FORK)
                facts, pidfd = self._believe(answer)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            os.close(stderr)
            capture.close()
            self._family.expects_another = False
            self._sweep()
            raise
        finally:
            os.close(stderr_write)
        process = ForkedProcess(
            loop=self._loop,
            log=self._log,
            spec=self.spec,
            facts=facts,
            pidfd=pidfd,
            connection=connection,
            stderr=stderr,
            gupid=gupid,
            password=password,
            at_end=self._process.drain,
        )
        process.capture = capture
        self._family.members.add(process)
        self._family.expects_another = False
        process.when_exited(lambda _exit: self._left(process))
        return process, talk.rest

    async def stop(self) -> None:
        """End of its stdin, then SIGKILL; what it forked goes on. Returns when it has ended."""
        self._was_told_to_stop = True
        self._process.request_stop()
        try:
            await self._process.ended(patience=STOP_PATIENCE)
        finally:
            self._process.kill()

    def discard(self) -> None:
        """Kill it, without waiting: it did not do what it was asked."""
        self._was_told_to_stop = True
        self._process.kill()

    def _connect(self) -> socket.socket:
        context, identity = self.spec.context, self.spec.identity
        sockets.check_preloader(self._address, socket_dir=context.socket_dir, uid=identity.uid)
        return sockets.connect(self._address, self.pid)

    def _send(self, connection: socket.socket, stderr: int) -> None:
        """The command, and beside it a stderr of its own for the process. Other preloaders overlook that."""
        pairs = dict(self.spec.request)
        order = list(pairs)
        command = fork_command({key: pairs[key] for key in order[order.index("app_root") :]})
        try:
            sent = socket.send_fds(connection, [command], [stderr])
        except OSError as error:
            raise SpawnFailure("no-answer", f"it cannot be asked: {error.strerror}") from error
        if sent != len(command):
            raise SpawnFailure("no-answer", "it does not read what it is asked")

    async def _answer(self, connection: socket.socket) -> tuple[Answer, ForkTalk]:
        talk = ForkTalk()
        result = self._question = self._loop.create_future()

        def readable() -> None:
            try:
                data = connection.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            answer = talk.feed(data) if data else talk.feed_eof()
            if answer is not None and not result.done():
                self._loop.remove_reader(fd)  # what comes now is for others to read
                result.set_result(answer)

        fd = connection.fileno()
        self._loop.add_reader(fd, readable)
        try:
            return await result, talk
        finally:
            self._question = None
            self._loop.remove_reader(fd)

    def _believe(self, answer: Answer) -> tuple[Facts, int]:
        match answer:
            case Forked(pid):
                if pid in {member.pid for member in self._family.members}:
                    raise SpawnFailure("foreign-pid", f"it says that it forked process {pid}, which it did before")
                return verified(pid, preloader=self.pid, uid=self.spec.identity.uid)
            case Refused(text):
                last = text.strip().rpartition("\n")[2][:500]
                raise SpawnFailure(
                    "refused", f"it says: {last}" if last else "it refuses, without a reason", explanation=text.strip()
                )
            case _:
                raise SpawnFailure("no-answer", answer.detail)

    def _left(self, process: ForkedProcess) -> None:
        self._family.members.discard(process)
        self._sweep()

    def _sweep(self) -> None:
        """End what is left of the session, when the preloader and all who live in its session have ended."""
        if self.is_gone and self._facts is not None and not self._family.is_shared():
            descendants.signal_others(self._facts, signal.SIGKILL)
        if self.is_gone and not self._family.members and not self._family.expects_another:
            self._process.dispose()

    def _ended(self, end: Exit) -> None:
        self.is_gone = True
        if self._question is not None:
            self._loop.call_later(LAST_ANSWER, self._give_up, self._question)
        self._sweep()
        sockets.remove(self._address, socket_dir=self.spec.context.socket_dir, uid=self.spec.identity.uid)
        if not self._was_told_to_stop:
            what = "the preloader ended; it is started again when it is needed"
            self._log.warn(what, app=self.spec.name, pid=self.pid, how=str(end))

    @staticmethod
    def _give_up(question: asyncio.Future[Answer]) -> None:
        if not question.done():
            question.set_result(NoAnswer("the preloader ended"))
