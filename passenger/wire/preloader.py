"""The talk with a preloader, without any I/O: how it announces itself, and how it is asked for a process.

    its Ready block             !> Ready / !> socket: unix:/path / !> ␠          (the rest is the spawn talk)

    spawner, on a new connection                  preloader
    spawn
    key: value            (any number)
                          (empty line)
                                                  OK            or:  Error
                                                  4711               !> html: true   (optional)
                                                                     !> ␠
                                                                     free text until EOF
    From then on the connection is stdin and stdout of process 4711, which begins the spawn talk on it.

Rules.
1. Not a byte behind the pid is used up here: it is the process's own.
2. A line of the answer has at most MAX_LINE bytes; whatever else comes is Broken, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from passenger.lazy_dataclass import dataclass
from passenger.wire.spawn import SpawnTalk, State, Token, pairs_block
from passenger.wire.spawnevents import AnnouncedSocket, Event, Explained, Fault

MAX_LINE: Final = 64
MAX_PID: Final = 2**22
"""The kernel's own limit."""


class PreloaderTalk(SpawnTalk):
    """The spawn talk of a preloader: its Ready block has exactly one key, the path of its socket."""

    def _act(self, token: Token, text: str) -> list[Event]:
        if self.state is State.ANNOUNCING and token is Token.PAIR:
            return self._announce_preloader(text)
        return super()._act(token, text)

    def _announce_preloader(self, text: str) -> list[Event]:
        key, value = text.split(": ", 1)
        if key != "socket":
            return self._broken(Fault.UNKNOWN_KEY, f"unknown key `{key}` in the Ready block of a preloader")
        if self._sockets:
            return self._broken(Fault.TOO_MANY_SOCKETS, "a preloader has one socket")
        if not re.fullmatch(r"unix:/[^;]+", value):
            return self._broken(Fault.BAD_ADDRESS, f"`{value[:120]}` is not unix:/PATH")
        self._sockets.append(AnnouncedSocket("preloader", value, "preloader", 1))
        return []


@dataclass(frozen=True, slots=True)
class Forked:
    """There is a process, or so it says."""

    pid: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The preloader says that it cannot, and why."""

    text: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """What came is no answer."""

    detail: str


Answer = Forked | Refused | NoAnswer


class ForkTalk:
    """One request for a process. `rest` is what came behind the answer."""

    def __init__(self) -> None:
        self.rest = b""
        self._held = b""
        self._said_ok = False
        self._refusal: SpawnTalk | None = None
        self._is_over = False

    def feed(self, data: bytes) -> Answer | None:
        """The answer, if `data` completes it. After it everything is `rest`."""
        if self._is_over:
            self.rest += data
            return None
        if self._refusal is not None:
            self._refusal.feed(data)
            return None
        self._held += data
        while True:
            line, end, left = self._held.partition(b"\n")
            if len(line) > MAX_LINE:
                return self._over(NoAnswer(f"a line of the answer is longer than {MAX_LINE} bytes"))
            if not end:
                return None
            self._held = left
            answer = self._line(line)
            if answer is not None or self._refusal is not None:
                return answer

    def feed_eof(self) -> Answer | None:
        """The connection ended."""
        if self._is_over:
            return None
        if self._refusal is None:
            where = "after OK" if self._said_ok else "without an answer"
            return self._over(NoAnswer(f"the preloader closed the connection {where}"))
        ends = self._refusal.feed_eof()
        text = next((event.text for event in ends if isinstance(event, Explained)), "")
        return self._over(Refused(text))

    def _line(self, line: bytes) -> Answer | None:
        if self._said_ok:
            if not re.fullmatch(rb"[1-9][0-9]{0,6}", line) or int(line) > MAX_PID:
                return self._over(NoAnswer(f"{_shown(line)} is no process id"))
            return self._over(Forked(int(line)))
        if line == b"Error":
            self._refusal = SpawnTalk()
            self._refusal.feed(b"!> Error\n" + self._held)
            self._held = b""
            return None
        if line != b"OK":
            return self._over(NoAnswer(f"it answered {_shown(line)} instead of OK"))
        self._said_ok = True
        return None

    def _over(self, answer: Answer) -> Answer:
        self._is_over = True
        self.rest, self._held = self._held, b""
        return answer


def fork_command(pairs: Mapping[str, str]) -> bytes:
    """The words that ask for a process. Raises ValueError for a key or value that would break a line."""
    return b"spawn\n" + pairs_block(pairs)


def _shown(line: bytes) -> str:
    return f"`{line.decode('ascii', 'backslashreplace')}`"
