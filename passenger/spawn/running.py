"""A process that takes or will take requests: its streams, its exit, its end. From the start until it is disposed of.

Rules.
1. A child is signalled through its group, and only while it is our unreaped child: the ids can't be anybody else's.
2. When it ends, whatever is left of its session is killed before it is reaped, and what it started and what then
   made a session of its own soon after (`posix.runaways`).
3. Its exit is told after what it wrote last has been read.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from passenger.log import Log
from passenger.posix import process, runaways
from passenger.posix.exits import ExitWatch
from passenger.spawn import sockets
from passenger.spawn.launch import MARK, Child
from passenger.spawn.output import Capture, LogStream, OutputReader
from passenger.spawn.spawner import AppSocket, Exit
from passenger.spawn.spec import SpawnSpec
from passenger.wire.spawn import interruption


class StartedProcess(abc.ABC):
    """Implements `RunningProcess` as far as it does not matter whose child the process is."""

    stdout: OutputReader

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, log: Log, spec: SpawnSpec, pid: int, gupid: str, password: str
    ) -> None:
        self.pid = pid
        self.gupid = gupid
        self.connect_password = password
        self.sockets: tuple[AppSocket, ...] = ()
        self.spawn_seconds = 0.0
        self.takes_interrupts = False
        self.takes_errands = False
        self.exit: Exit | None = None
        self.capture = Capture()
        self._loop = loop
        self._log = log
        self._spec = spec
        self._callbacks: list[Callable[[Exit], None]] = []
        self._disposed = False
        self._was_ready = False
        self._logs: dict[str, LogStream] = {}
        self._readers: list[OutputReader] = []

    def when_exited(self, callback: Callable[[Exit], None]) -> None:
        if self.exit is not None:
            self._loop.call_soon(callback, self.exit)
        else:
            self._callbacks.append(callback)

    @abc.abstractmethod
    def request_stop(self) -> None:
        """See `RunningProcess`."""

    def interrupt(self, connection: str) -> bool:
        """See `RunningProcess`."""
        try:
            return self.takes_interrupts and self.exit is None and self._say(interruption(connection))
        except OSError:
            return False

    def show_stacks(self) -> None:
        """See `RunningProcess`."""
        if self.takes_interrupts and self.exit is None:
            self._signal_alone(signal.SIGQUIT)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def dispose(self) -> None:
        """See `RunningProcess`. Before the exit it kills and is done again by itself after it."""
        if self.exit is None:
            self.kill()
            self.when_exited(lambda _exit: self.dispose())
            return
        if self._disposed:
            return
        self._disposed = True
        self._close_input()
        for reader in self._readers:
            reader.close()
        for log in self._logs.values():
            log.end()
        socket_dir, uid = self._spec.context.socket_dir, self._spec.identity.uid
        for announced in self.sockets:
            sockets.remove(announced.address, socket_dir=socket_dir, uid=uid)
        if not self._was_ready:
            sockets.remove_left(socket_dir=socket_dir, uid=uid)

    # For the spawner

    def write_request(self, data: bytes) -> bool:
        """Send the request block; False when the process does not read what it was sent before."""
        try:
            return self._say(data)
        except OSError:
            return True  # it has gone or closed its stdin; what it said about that is read on

    def take_output(self, stream: str, data: bytes) -> None:
        """Output while starting: to the log and to the capture."""
        # Loaders end a partial line before they speak; mostly there is none, and that leaves an empty line.
        if data.endswith(b"\n\n") or (data == b"\n" and self._logs[stream].is_at_line_start()):
            data = data[:-1]
        self._logs[stream].feed(data)
        self.capture.add(data)

    def started(self, announced: tuple[AppSocket, ...], seconds: float) -> None:
        """It is ready: from now on output only goes to the log."""
        self._was_ready = True
        self.sockets = announced
        self.spawn_seconds = seconds
        self.capture.close()

    def drain(self) -> None:
        """Read what it has written until now."""
        for reader in reversed(self._readers):
            reader.drain()

    async def ended(self, *, patience: float) -> None:
        """Wait until the process has ended; it is killed after `patience` seconds, and given up after one more."""
        gone = asyncio.Event()
        self.when_exited(lambda _exit: gone.set())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await gone.wait()
        self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await gone.wait()

    # For the two kinds of processes

    @abc.abstractmethod
    def _signal(self, number: signal.Signals) -> None: ...

    @abc.abstractmethod
    def _signal_alone(self, number: signal.Signals) -> None:
        """To the process itself, not to its children."""

    @abc.abstractmethod
    def _say(self, data: bytes) -> bool:
        """Write on its stdin; False when it does not read. Raises OSError when it does not listen any more."""

    @abc.abstractmethod
    def _close_input(self) -> None: ...

    def _reader(self, fd: int, stream: str) -> OutputReader:
        log = self._logs[stream] = LogStream(log=self._log, app=self._spec.name, pid=self.pid, stream=stream)
        reader = OutputReader(loop=self._loop, fd=fd, take=lambda data: self.take_output(stream, data), tick=log.tick)
        self._readers.append(reader)
        return reader

    def _has_ended(self, status: int | None) -> None:
        self._sweep_runaways()
        self.drain()
        self.exit = Exit(status)
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self.exit)

    def _sweep_runaways(self) -> None:
        """What it started and what then left its session. A preloader has no gupid: its processes outlive it."""
        if not self.gupid:
            return
        context, uid = self._spec.context, self._spec.identity.uid
        killed = runaways.sweep(f"{MARK}={self.gupid}", uid=uid, adopter=context.adopter)
        if killed:
            pids = " ".join(map(str, killed))
            self._log.warn("killed what a process had left behind", app=self._spec.name, pid=self.pid, pids=pids)


class DirectProcess(StartedProcess):
    """A child of this process.

    `is_shared` says whether processes live in its session that are not its own to end: those that a preloader
    forked. Then only it itself is signalled and swept.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        log: Log,
        spec: SpawnSpec,
        child: Child,
        gupid: str,
        password: str,
        is_shared: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(loop=loop, log=log, spec=spec, pid=child.pid, gupid=gupid, password=password)
        self._child = child
        self._stdin = child.stdin
        self._is_shared = is_shared
        # First, because this alone can fail: there may be no descriptor left.
        self._watch = ExitWatch(loop=loop, pid=child.pid, before_reap=self._sweep, on_exit=self._exited)
        self.stdout = self._reader(child.stdout, "stdout")
        self._reader(child.stderr, "stderr")
        self._profile = self._reader(child.profile, "profile")

    def request_stop(self) -> None:
        self._close_input()

    def started(self, announced: tuple[AppSocket, ...], seconds: float) -> None:
        super().started(announced, seconds)
        self._profile.close()

    def _signal(self, number: signal.Signals) -> None:
        if self.exit is not None:
            return
        if self._is_shared():
            self._signal_alone(number)
        else:
            process.signal_group(self.pid, number)

    def _signal_alone(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _say(self, data: bytes) -> bool:
        try:
            return os.write(self._stdin, data) == len(data)
        except BlockingIOError:
            return False

    def _sweep(self) -> None:
        if not self._is_shared():
            process.sweep_session(self.pid)

    def _close_input(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def _exited(self, status: int | None) -> None:
        self._child.disown(status)
        self._has_ended(status)
