"""A short-lived child whose output is wanted: `nginx -t`, and the one that resolves the configuration on reload.

Rules.
1. It has one deadline; afterwards its process group is killed.
2. Output is bounded: more than the limit counts as a failure.
3. `on_done` is called exactly once, when it has exited and its pipes are drained or closed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from passenger.errors import HostError
from passenger.watchdog.child import Child, Reaper, describe
from passenger.watchdog.launch import launch
from passenger.watchdog.loop import READ, WRITE, Loop

MAX_OUTPUT: Final = 64 * 1024 * 1024
GRACE: Final = 1.0
"""Seconds that a pipe may stay open after the exit (a grandchild may hold it)."""


class Result(NamedTuple):
    status: int | None
    """As Popen gives it; None when the deadline passed or there was too much output."""
    output: bytes
    errors: str
    summary: str
    """"" when the status is 0, else what went wrong in words."""


class Command:
    """Runs from construction until `on_done`. Raises HostError when it cannot be executed."""

    def __init__(
        self,
        loop: Loop,
        reaper: Reaper,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: bytes,
        timeout: float,
        umask: int,
        on_done: Callable[[Result], None],
    ) -> None:
        self._loop = loop
        self._on_done = on_done
        self._to_write = stdin
        self._status: int | None = None
        self._exited = False
        self._problem = ""
        self._done = False
        self._output = bytearray()
        self._errors = bytearray()
        self._open: list[int] = []
        pid, ours = _launch(argv, env=env, umask=umask)
        self._child = Child(argv[0], pid, started_at=loop.clock.monotonic(), on_exit=self._exit)
        reaper.add(self._child)
        self._watch(ours[0], WRITE, self._write)
        self._watch(ours[1], READ, lambda stream: self._read(stream, self._output))
        self._watch(ours[2], READ, lambda stream: self._read(stream, self._errors))
        self._deadline = loop.after(timeout, lambda: self._give_up(f"did not finish within {timeout:g} s"))

    def kill(self) -> None:
        self._give_up("was stopped")

    def _watch(self, stream: int, events: int, call: Callable[[int], None]) -> None:
        os.set_blocking(stream, False)
        self._open.append(stream)
        self._loop.watch(stream, events, lambda _: call(stream))

    def _write(self, stream: int) -> None:
        try:
            self._to_write = self._to_write[os.write(stream, self._to_write[:65536]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._to_write = b""
        if not self._to_write:
            self._close(stream)

    def _read(self, stream: int, into: bytearray) -> None:
        data = os.read(stream, 65536)
        into += data
        if not data:
            self._close(stream)
        elif len(into) > MAX_OUTPUT:
            self._give_up("wrote too much")
            self._close(stream)

    def _close(self, stream: int) -> None:
        if stream in self._open:
            self._open.remove(stream)
            self._loop.unwatch(stream)
            os.close(stream)
        self._finish_if_over()

    def _give_up(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._child.signal_group(signal.SIGKILL)

    def _exit(self, _: Child, status: int) -> None:
        self._exited = True
        self._status = status
        if self._open:
            self._loop.after(GRACE, self._close_all)
        self._finish_if_over()

    def _close_all(self) -> None:
        for stream in list(self._open):
            self._close(stream)

    def _finish_if_over(self) -> None:
        if self._open or not self._exited or self._done:
            return
        self._done = True
        self._deadline.cancel()
        summary = self._problem or ("" if self._status == 0 else describe(self._status or 0))
        errors = self._errors.decode("utf-8", "replace").strip()
        self._on_done(Result(None if self._problem else self._status, bytes(self._output), errors, summary))


def _launch(argv: Sequence[str], *, env: Mapping[str, str], umask: int) -> tuple[int, tuple[int, int, int]]:
    """Start with pipes for all standard streams; returns the pid and our ends."""
    (stdin, to_child), (from_child, stdout), (errors, stderr) = (os.pipe2(os.O_CLOEXEC) for _ in range(3))
    try:
        pid = launch(argv, env=env, umask=umask, streams=(stdin, stdout, stderr))
    except HostError:
        for fd in (to_child, from_child, errors):
            os.close(fd)
        raise
    finally:
        for fd in (stdin, stdout, stderr):
            os.close(fd)
    return pid, (to_child, from_child, errors)
