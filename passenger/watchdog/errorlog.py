"""nginx's error log: its stderr, read here and written as lines of ours.

nginx quotes what clients send (the request line, `Referer`, `Host`) byte by byte in these lines: control sequences that
a terminal would obey. Our log escapes them (fault matrix F22), and says the level in our words and form.

Rules.
1. One pipe for every master; it stays open from one to the next.
2. At most READ bytes per turn of the loop, and a line is cut at MAX_LINE: nginx's own are shorter.
3. What nginx said last is written before the pipe is closed.
4. A query, which may hold a password or a token, is never told: `?...` stands in its place (fault matrix F21). The
   access log may tell it (`log_queries`).
"""

from __future__ import annotations

import os
import re
from typing import Final

from passenger.log import Level, Log
from passenger.watchdog.loop import READ as READABLE
from passenger.watchdog.loop import Loop

READ: Final = 64 * 1024
MAX_LINE: Final = 8 * 1024

_LINE: Final = re.compile(r"(?:[0-9/]+ [0-9:]+|nginx:) \[([a-z]+)\] (.*)", re.DOTALL)
_ASKED: Final = re.compile(r', (?:request|subrequest|upstream|referrer): "')
_QUERY: Final = re.compile(
    r"[?].*?(?=(?: HTTP/[0-9.]+)?\"(?:, (?:request|subrequest|upstream|host|referrer): \"|\Z)|\Z)", re.DOTALL
)
"""To the end of its quotes, of which it may hold some itself; nginx cuts long lines anywhere."""
_LEVELS: Final[dict[str, Level]] = {"warn": "warn", "notice": "info", "info": "info", "debug": "debug"}


class ErrorLog:
    """The pipe, and the unfinished line in it. `writer` is what nginx gets as its stderr."""

    def __init__(self, loop: Loop, log: Log) -> None:
        self._loop = loop
        self._log = log.child("nginx")
        self._partial = b""
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        loop.watch(self._reader, READABLE, self._readable)

    def close(self) -> None:
        """Write what is left; to be called when no nginx is."""
        os.close(self.writer)
        while self._read():
            continue
        self._loop.unwatch(self._reader)
        os.close(self._reader)

    def _readable(self, _: int) -> None:
        self._read()

    def _read(self) -> bool:
        """False at the end, or when there is nothing now."""
        try:
            data = os.read(self._reader, READ)
        except BlockingIOError:
            return False
        *lines, rest = (self._partial + data).split(b"\n")
        if len(rest) > MAX_LINE or not data:
            lines.append(rest)
            rest = b""
        self._partial = rest
        for line in lines:
            self._write(line[:MAX_LINE].decode("utf-8", "backslashreplace"))
        return bool(data)

    def _write(self, line: str) -> None:
        if found := _LINE.fullmatch(line):
            self._log.write(_LEVELS.get(found[1], "error"), _without_queries(found[2]), {})
        elif line:
            self._log.write("error", _without_queries(line), {})


def _without_queries(line: str) -> str:
    if (found := _ASKED.search(line)) is None:
        return line
    return line[: found.start()] + _QUERY.sub("?...", line[found.start() :])
