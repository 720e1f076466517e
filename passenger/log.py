"""Log lines: one event, one line, text or JSON, written straight to a descriptor; or to systemd's journal, with fields.

Rules.
1. Control bytes in messages and fields are escaped: one event can never look like two (fault matrix F22).
2. A log reader that went away, stands still, or a full disk never ends the caller and holds it up for at most PATIENCE;
   what could not be written is counted, and the next line that gets through says how many were lost (fault matrix A15,
   C13, D13).
3. No secret is passed in here; callers log names, ids and sizes.

The standard `logging` package is not used: the watchdog must stay small, and there is no per-module tree to configure.
"""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from passenger.journal import Journal, entry

LEVELS: Final = {"error": 0, "warn": 1, "info": 2, "debug": 3}
Level = Literal["error", "warn", "info", "debug"]

_ESCAPES: Final = (
    {i: f"\\x{i:02x}" for i in (*range(0x20), 0x7F, *range(0x80, 0xA0))}
    | {
        0x09: "\\t",
        0x0A: "\\n",
        0x0D: "\\r",
        0x2028: "\\u2028",
        0x2029: "\\u2029",
    }
    | {c: f"\\u{c:04x}" for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
)


def printable(text: str) -> str:
    """Text with every control and direction-changing character made visible."""
    return text.translate(_ESCAPES)


PATIENCE: Final = 0.1
"""Seconds that a write waits for a reader that stands still; further writes then do not wait at all."""

JOURNAL_REST: Final = 5.0
"""Seconds for which a journal that stands still is not asked again."""
_PIECE: Final = 4096
"""Bytes that a pipe takes without blocking once it is writable (PIPE_BUF)."""


class Sink:
    """A descriptor that lines are written to, shared by the logs of all components of a process."""

    def __init__(self, fd: int, *, level: str, form: str, journal: Journal | None = None) -> None:
        """`journal`: where events go instead, as long as it takes them."""
        self.journal = journal
        self.threshold = LEVELS[level]
        self.form = form
        self.lost = 0
        """Writes that were given up and not told of yet."""
        self.tap: Callable[[bytes], None] | None = None
        """Gets a copy of every write."""
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._is_torn = False
        self._journal_rests_until = 0.0
        # several programs append to one file: what is written at once stays together
        self._piece = sys.maxsize if stat.S_ISREG(os.fstat(fd).st_mode) else _PIECE

    def write(self, data: bytes, entries: Sequence[bytes] = ()) -> None:
        """Write whole lines, or count them as lost. `entries` are the same in the journal's form, when there is one."""
        if self.tap is not None:
            self.tap(data)
        if not self._tell(entries):
            self._write(data)

    def _tell(self, entries: Sequence[bytes]) -> bool:
        """Whether the journal has all of them; what it got before it failed is then in the lines as well."""
        if self.journal is None or time.monotonic() < self._journal_rests_until:
            return False
        try:
            for one in entries:
                self.journal.send(one)
        except TimeoutError:  # each wait for it holds up the whole program
            self._journal_rests_until = time.monotonic() + JOURNAL_REST
            return False
        except OSError:  # it is being restarted, or stands still: stderr is its stream, and says it, too
            return False
        return True

    def _write(self, data: bytes) -> None:
        if self.lost:
            data = self._told_of_losses() + data
        if self._is_torn:
            data = b"\n" + data
        view = memoryview(data)
        patience = 0.0 if self.lost else PATIENCE
        try:
            while view:
                if not self._poll.poll(patience * 1000):
                    raise BlockingIOError
                view = view[os.write(self._fd, view[: self._piece]) :]
        except OSError:
            self.lost += 1
            self._is_torn = self._is_torn or len(view) < len(data)
        else:
            self.lost = 0
            self._is_torn = False

    def _told_of_losses(self) -> bytes:
        told = f"({self.lost} writes to the log were lost: its reader stood still)"
        if self.form == "json":
            told = json.dumps({"time": _timestamp(), "level": "warn", "component": "log", "message": told})
        return told.encode() + b"\n"


class Log:
    """Writes events of one component."""

    def __init__(
        self,
        *,
        component: str,
        instance: str = "",
        fd: int = 2,
        level: str = "info",
        form: str = "text",
        sink: Sink | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.component = component
        self.instance = instance
        self._sink = sink if sink is not None else Sink(fd, level=level, form=form, journal=journal)

    @property
    def lost(self) -> int:
        """Writes that did not get through since the last one that did."""
        return self._sink.lost

    def child(self, component: str) -> Log:
        """The same sink, with the same level whenever it changes, under another component name."""
        return Log(component=component, instance=self.instance, sink=self._sink)

    def set_level(self, level: str) -> None:
        self._sink.threshold = LEVELS[level]

    def copy_to(self, tap: Callable[[bytes], None]) -> None:
        """From now on `tap` gets everything that is written to the sink."""
        self._sink.tap = tap

    def wants(self, level: Level) -> bool:
        return LEVELS[level] <= self._sink.threshold

    def error(self, message: str, **fields: object) -> None:
        self.write("error", message, fields)

    def warn(self, message: str, **fields: object) -> None:
        self.write("warn", message, fields)

    def info(self, message: str, **fields: object) -> None:
        self.write("info", message, fields)

    def debug(self, message: str, **fields: object) -> None:
        self.write("debug", message, fields)

    def write(self, level: Level, message: str, fields: dict[str, object]) -> None:
        if LEVELS[level] > self._sink.threshold:
            return
        line = self._json(level, message, fields) if self._sink.form == "json" else self._text(level, message, fields)
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        self._sink.write(data, [self._entry(level, f"{message}{_pairs(fields)}", fields)] if self._sink.journal else ())

    def forward(self, prefix: str, lines: Sequence[str], fields: Mapping[str, object]) -> None:
        """Write lines of somebody else, whatever the level, in one go: with a prefix as text, with fields as JSON."""
        if self._sink.form == "json":
            whole = [self._json("info", line, dict(fields)) for line in lines]
        else:
            start = f"{_timestamp()} info  {self.component}: {prefix}"
            whole = [start + printable(line) for line in lines]
        whole.append("")
        data = "\n".join(whole).encode("utf-8", "backslashreplace")
        self._sink.write(
            data, [self._entry("info", prefix + line, fields) for line in lines] if self._sink.journal else ()
        )

    def _entry(self, level: Level, message: str, fields: Mapping[str, object]) -> bytes:
        of_us = {"component": self.component} | ({"instance": self.instance} if self.instance else {})
        return entry(level, f"{self.component}: {printable(message)}", {**of_us, **fields})

    def _json(self, level: str, message: str, fields: dict[str, object]) -> str:
        record: dict[str, object] = {"time": _timestamp(), "level": level, "component": self.component}
        if self.instance:
            record["instance"] = self.instance
        record["message"] = _unicode(message)
        for name, value in fields.items():
            record[name] = _unicode(value) if isinstance(value, str) else value
        return json.dumps(record, default=str)

    def _text(self, level: str, message: str, fields: dict[str, object]) -> str:
        return f"{_timestamp()} {level:<5} {self.component}: {printable(message)}{_pairs(fields)}"


def _pairs(fields: Mapping[str, object]) -> str:
    return "".join(f" {name}={printable(_quoted(str(value)))}" for name, value in fields.items())


def _unicode(text: str) -> str:
    """Without halves of surrogate pairs, as names of files that are no UTF-8 have them: strict readers refuse them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if not value or " " in value or '"' in value else value


def _timestamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
