"""The output of application processes: read without ever blocking, cut into lines, written to the log.

Rules.
1. Lines are put together over reads; one is cut at MAX_LINE bytes with a mark, the rest of it is dropped.
2. Nothing is kept but the beginning of one line: what can't be logged now is dropped and counted, never queued.
3. Per tick of TICK seconds LOGGED_PER_TICK bytes of a stream may go to the log; what was not used is saved up to
   LOGGED_AT_ONCE, for requests that come all at once. READ_PER_TICK bytes are read in a tick, beyond that the process
   waits in its own write. So a flood costs the core a bounded share of its time.
4. Bytes that are no UTF-8 are replaced; control characters are escaped by the log.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from passenger.log import Log

MAX_LINE: Final = 64 * 1024
READ_SIZE: Final = 64 * 1024
TICK: Final = 0.1
LOGGED_PER_TICK: Final = 256 * 1024
LOGGED_AT_ONCE: Final = 1024 * 1024
READ_PER_TICK: Final = 4 * 1024 * 1024
CAPTURE_LIMIT: Final = 128 * 1024
CUT_MARK: Final = f" [cut: the line is longer than {MAX_LINE} bytes]"


class Lines:
    """Bytes in, whole lines out."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[str]:
        """The lines completed by `data`; a line that is too long comes at once, cut."""
        *whole, last = data.split(b"\n")
        lines = [line for piece in whole if (line := self._complete(piece)) is not None]
        if not self._dropping:
            self._partial += last
            if len(self._partial) > MAX_LINE:
                lines.append(_text(self._partial))
                self._partial.clear()
                self._dropping = True
        return lines

    def is_empty(self) -> bool:
        """Whether the last line has ended."""
        return not self._partial and not self._dropping

    def rest(self) -> list[str]:
        """The last line, if it did not end."""
        lines = [_text(self._partial)] if self._partial else []
        self._partial.clear()
        return lines

    def _complete(self, piece: bytes) -> str | None:
        if self._dropping:
            self._dropping = False
            return None
        self._partial += piece
        line = _text(self._partial)
        self._partial.clear()
        return line


def _text(line: bytearray) -> str:
    if line.endswith(b"\r"):
        line = line[:-1]
    return line[:MAX_LINE].decode("utf-8", "replace") + (CUT_MARK if len(line) > MAX_LINE else "")


class Capture:
    """The end of everything a process wrote while it started, for the error page; at most CAPTURE_LIMIT bytes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.is_open = True

    def add(self, data: bytes) -> None:
        if self.is_open:
            self._data += data
            del self._data[: max(0, len(self._data) - CAPTURE_LIMIT)]

    def text(self) -> str:
        return self._data.decode("utf-8", "replace").strip("\n")

    def close(self) -> None:
        """The process has started: keep nothing any more."""
        self.is_open = False
        self._data.clear()


class LogStream:
    """One stream of one process on its way to the log, within its allowance."""

    def __init__(self, *, log: Log, app: str, pid: int, stream: str, said: str = "app") -> None:
        """`said` is what `app` names: another word for what is no application."""
        self.dropped = 0
        """Bytes, over the life of the process."""
        self._log = log
        self._prefix = f"{said.capitalize()} {app}[{pid}] {stream}: "
        self._fields = {said: app, "pid": pid, "stream": stream}
        self._lines = Lines()
        self._allowance = LOGGED_AT_ONCE
        self._unsaid = 0

    def feed(self, data: bytes) -> None:
        if self._allowance <= 0:
            self.dropped += len(data)
            self._unsaid += len(data)
            return
        self._allowance -= len(data)
        if lines := self._lines.feed(data):
            self._log.forward(self._prefix, lines, self._fields)

    def is_at_line_start(self) -> bool:
        return self._lines.is_empty()

    def tick(self) -> None:
        """More allowance; says how much was dropped since the last one."""
        self._allowance = min(LOGGED_AT_ONCE, max(0, self._allowance) + LOGGED_PER_TICK)
        if self._unsaid:
            lines = [*self._lines.rest(), f"[dropped {self._unsaid} bytes: the application writes too fast]"]
            self._unsaid = 0
            self._log.forward(self._prefix, lines, self._fields)

    def end(self) -> None:
        """Nothing comes any more."""
        self.tick()
        if lines := self._lines.rest():
            self._log.forward(self._prefix, lines, self._fields)


class OutputReader:
    """Reads one pipe on the loop and hands the bytes to `take`; `tick` is called while there is a flood."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        take: Callable[[bytes], None],
        tick: Callable[[], None],
        at_end: Callable[[], None] | None = None,
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._take = take
        self._tick = tick
        self._at_end = at_end
        self._read_in_tick = 0
        self._timer: asyncio.TimerHandle | None = None
        loop.add_reader(fd, self._readable)

    def hand_over(self, take: Callable[[bytes], None], at_end: Callable[[], None] | None) -> None:
        """From now on the bytes go somewhere else."""
        self._take = take
        self._at_end = at_end

    def drain(self) -> None:
        """Read what is there now, at most READ_PER_TICK bytes: for a process that has ended."""
        count = 0
        while self._fd >= 0 and count < READ_PER_TICK:
            got = self._read()
            if got == 0:
                return
            count += got

    def close(self) -> None:
        """Stop reading and close the pipe. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        self._read_in_tick += self._read()
        if self._fd >= 0 and self._timer is None:
            self._timer = self._loop.call_later(TICK, self._next_tick)
        if self._fd >= 0 and self._read_in_tick >= READ_PER_TICK:
            self._loop.remove_reader(self._fd)

    def _next_tick(self) -> None:
        self._timer = None
        if self._read_in_tick >= READ_PER_TICK:
            self._loop.add_reader(self._fd, self._readable)
        self._read_in_tick = 0
        self._tick()

    def _read(self) -> int:
        """Bytes read; 0 when there is nothing, or at the end (then the pipe is closed)."""
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if data:
            self._take(data)
            return len(data)
        self.close()
        if self._at_end is not None:
            self._at_end()
        return 0
