"""The spawn talk: what a loader says on its stdout between its exec and `Ready`, without any I/O.

    loader                                      spawner
    !> I have control 1.0
                                                You have control 1.0
                                                key: value            (any number)
                                                                      (empty line)
    any output, any number of lines
    !> Ready                                    or: !> Error
    !> socket: main;unix:/...;session;1             !> html: true    (optional)
    !> ␠                                            !> ␠
                                                    free text until EOF

Theory of operation. Bytes go in by `feed` and `feed_eof`, events come out. A line that starts with `!> ` is a control
line and becomes a Token; (State, Token) is looked up in `SpawnTalk.TRANSITIONS`. A pair that is not there is a fault.

Rules.
1. Only control lines are held back and limited (MAX_CONTROL_LINE); output passes through at once, however long.
2. Nothing is a control line any more once the talk is over: the rest is the application's own output.
3. A fault ends the talk. Each kind of nonsense has its own Fault, so that a report can say what was wrong.
4. What is announced here is only well-formed. Whether a socket is what it says is checked by the spawner.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from passenger.wire.spawnevents import (
    AnnouncedSocket,
    AnswerBegan,
    Broken,
    Event,
    Explained,
    Fault,
    Output,
    Ready,
    RequestWanted,
)

MARK: Final = b"!> "
MAX_CONTROL_LINE: Final = 4096
"""Bytes of a control line, mark included, line end not."""
MAX_EXPLANATION: Final = 128 * 1024
"""Bytes of the text behind `!> Error` that are kept."""
MAX_HANDSHAKES: Final = 8
"""A loader may execute itself again and start over, but not for ever."""
MAX_SOCKETS: Final = 3
MAX_CONCURRENCY: Final = 1_000_000
VERSION: Final = "1.0"
INTERRUPTS: Final = "stdin"
"""How single requests are interrupted: offered in the request, announced in the Ready block, said by `interruption`."""
ERRANDS: Final = "http"
"""How a process that speaks HTTP is asked for out-of-band work: likewise. The request is `wire.errand`'s."""


class State(enum.Enum):
    """Where the talk is."""

    HANDSHAKE = "waiting for the handshake"
    ANSWER = "waiting for Ready or Error"
    ANNOUNCING = "inside the Ready block"
    EXPLAINING = "inside the head of the Error block"
    EXPLANATION = "reading the text of the Error block"
    OVER = "over"


class Token(enum.Enum):
    """What a control line is."""

    OFFER = "I have control 1.0"
    FOREIGN_OFFER = "I have control, another version"
    READY = "Ready"
    ERROR = "Error"
    PAIR = "key: value"
    END = "end of block"
    NONSENSE = "anything else"
    EOF = "end of file"


class SpawnTalk:
    """One talk with one loader."""

    def __init__(self) -> None:
        self.state = State.HANDSHAKE
        self._held = bytearray()
        self._inside_output_line = False
        self._handshakes = 0
        self._sockets: list[AnnouncedSocket] = []
        self._names: set[str] = set()
        self._pid: int | None = None
        self._interrupts = False
        self._errands = False
        self._html = False
        self._explanation = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Everything that `data` completes."""
        events: list[Event] = []
        self._held += data
        while self._held and self._step(events):
            pass
        return events

    def feed_eof(self) -> list[Event]:
        """What the end of the stream means now."""
        events: list[Event] = []
        if self._held and self.state is not State.OVER:
            events.append(self._take(len(self._held)))
        if self.state is not State.OVER:
            events += self._act(Token.EOF, "")
        return events

    def _step(self, events: list[Event]) -> bool:
        """Use up part of what is held; False when more bytes are needed."""
        if self.state is State.OVER:
            events.append(self._take(len(self._held)))
            return False
        if self.state is State.EXPLANATION:
            room = MAX_EXPLANATION - len(self._explanation)
            self._explanation += self._held[:room]
            self._held.clear()
            return False
        start = bytes(self._held[: len(MARK)])
        if self._inside_output_line or not MARK.startswith(start):
            if start == MARK and not self._inside_output_line:
                return self._control_line(events)
            return self._output(events)
        return start == MARK and self._control_line(events)

    def _output(self, events: list[Event]) -> bool:
        control = self._held.find(b"\n" + MARK)
        if control >= 0:
            events.append(self._take(control + 1))
            self._inside_output_line = False
            return True
        line_start = self._held.rfind(b"\n") + 1
        if line_start and MARK.startswith(self._held[line_start : line_start + len(MARK)]):
            events.append(self._take(line_start))
            self._inside_output_line = False
            return False
        events.append(self._take(len(self._held)))
        self._inside_output_line = True
        return False

    def _control_line(self, events: list[Event]) -> bool:
        end = self._held.find(b"\n", 0, MAX_CONTROL_LINE + 1)
        if end < 0:
            if len(self._held) > MAX_CONTROL_LINE:
                events += self._broken(Fault.TOO_LONG, f"a control line is longer than {MAX_CONTROL_LINE} bytes")
                return True
            return False
        line = bytes(self._held[len(MARK) : end])
        del self._held[: end + 1]
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = "\0"
        if not text.isprintable():
            events += self._broken(Fault.NOT_TEXT, "a control line holds binary data")
        else:
            events += self._act(_token(text), text)
        return True

    def _take(self, count: int) -> Output:
        data = bytes(self._held[:count])
        del self._held[:count]
        return Output(data)

    def _act(self, token: Token, text: str) -> list[Event]:
        action = self.TRANSITIONS.get((self.state, token), SpawnTalk._unexpected)
        return action(self, text)

    def _broken(self, fault: Fault, detail: str) -> list[Event]:
        self.state = State.OVER
        return [Broken(fault, detail)]

    # Actions, in the order of the talk

    def _take_control(self, _text: str) -> list[Event]:
        self._handshakes += 1
        if self._handshakes > MAX_HANDSHAKES:
            return self._broken(Fault.TOO_MANY_HANDSHAKES, f"more than {MAX_HANDSHAKES} handshakes")
        self.state = State.ANSWER
        return [RequestWanted()]

    def _foreign_offer(self, text: str) -> list[Event]:
        return self._broken(Fault.VERSION, f"`{text}`: only version {VERSION} is understood")

    def _begin_announcing(self, _text: str) -> list[Event]:
        self.state = State.ANNOUNCING
        return [AnswerBegan()]

    def _announce(self, text: str) -> list[Event]:
        key, value = text.split(": ", 1)
        if key == "socket":
            return self._announce_socket(value)
        if key == "interrupts":
            self._interrupts = value == INTERRUPTS  # another way may come one day; we would not go it
            return []
        if key == "oobw":
            self._errands = value == ERRANDS
            return []
        if key != "pid":
            return self._broken(Fault.UNKNOWN_KEY, f"unknown key `{key}` in the Ready block")
        if self._pid is not None or not re.fullmatch(r"[1-9][0-9]{0,9}", value, re.ASCII):
            return self._broken(Fault.BAD_PID, f"`{text}` is no process id, or the second one")
        self._pid = int(value)
        return []

    def _announce_socket(self, value: str) -> list[Event]:
        found = _socket(value)
        if isinstance(found, Broken):
            return self._broken(found.fault, found.detail)
        if found.name in self._names:
            return self._broken(Fault.DUPLICATE_SOCKET, f"two sockets are named `{found.name}`")
        self._names.add(found.name)
        if len(self._names) > 2 * MAX_SOCKETS:
            return self._broken(Fault.TOO_MANY_SOCKETS, "too many sockets")
        if found.protocol in {"session", "http_session"}:  # others are for information, such as a debugging port
            self._sockets.append(found)
        return []

    def _finish(self, _text: str) -> list[Event]:
        if not self._sockets:
            return self._broken(Fault.NO_SOCKET, "Ready without a request socket")
        if len(self._sockets) > MAX_SOCKETS:
            return self._broken(Fault.TOO_MANY_SOCKETS, f"more than {MAX_SOCKETS} request sockets")
        self.state = State.OVER
        return [Ready(tuple(self._sockets), self._pid, self._interrupts, self._errands)]

    def _begin_explaining(self, _text: str) -> list[Event]:
        self.state = State.EXPLAINING
        return []

    def _attribute(self, text: str) -> list[Event]:
        if text == "html: true":
            self._html = True
        return []

    def _begin_explanation(self, _text: str) -> list[Event]:
        self.state = State.EXPLANATION
        return []

    def _explained(self, _text: str) -> list[Event]:
        self.state = State.OVER
        return [Explained(self._explanation.decode("utf-8", "replace"), self._html)]

    def _bad_pair(self, text: str) -> list[Event]:
        return self._broken(Fault.BAD_PAIR, f"`{text[:80]}` in the Ready block is not `key: value`")

    def _ended_early(self, _text: str) -> list[Event]:
        return self._broken(Fault.ENDED_EARLY, "it ended before the handshake")

    def _ended_loading(self, _text: str) -> list[Event]:
        return self._broken(Fault.ENDED_LOADING, "it ended before it was ready")

    def _ended_announcing(self, _text: str) -> list[Event]:
        return self._broken(Fault.ENDED_ANNOUNCING, "it ended in the middle of the Ready block")

    def _unexpected(self, text: str) -> list[Event]:
        return self._broken(Fault.UNEXPECTED, f"`!> {text[:80]}` while {self.state.value}")

    # What is not listed is a fault (UNEXPECTED).
    TRANSITIONS: ClassVar[Mapping[tuple[State, Token], Callable[[SpawnTalk, str], list[Event]]]] = {
        (State.HANDSHAKE, Token.OFFER): _take_control,
        (State.HANDSHAKE, Token.FOREIGN_OFFER): _foreign_offer,
        (State.HANDSHAKE, Token.ERROR): _begin_explaining,
        (State.HANDSHAKE, Token.EOF): _ended_early,
        (State.ANSWER, Token.OFFER): _take_control,
        (State.ANSWER, Token.FOREIGN_OFFER): _foreign_offer,
        (State.ANSWER, Token.READY): _begin_announcing,
        (State.ANSWER, Token.ERROR): _begin_explaining,
        (State.ANSWER, Token.EOF): _ended_loading,
        (State.ANNOUNCING, Token.PAIR): _announce,
        (State.ANNOUNCING, Token.END): _finish,
        (State.ANNOUNCING, Token.NONSENSE): _bad_pair,
        (State.ANNOUNCING, Token.EOF): _ended_announcing,
        (State.EXPLAINING, Token.PAIR): _attribute,
        (State.EXPLAINING, Token.END): _begin_explanation,
        (State.EXPLAINING, Token.EOF): _explained,
        (State.EXPLANATION, Token.EOF): _explained,
    }


def request(pairs: Mapping[str, str]) -> bytes:
    """The request block that answers a handshake. Raises ValueError for a key or value that would break a line."""
    return f"You have control {VERSION}\n".encode() + pairs_block(pairs)


def pairs_block(pairs: Mapping[str, str]) -> bytes:
    """`key: value` lines and an empty one. Raises ValueError for a key or value that would break a line."""
    lines: list[str] = []
    for key, value in pairs.items():
        if not re.fullmatch(r"[A-Za-z_]+", key, re.ASCII) or re.search(r"[\r\n\0]", value):
            raise ValueError(f"the value of `{key}` holds a line end or NUL")
        if value:  # a missing key means "unset"
            lines.append(f"{key}: {value}\n")
    return ("".join(lines) + "\n").encode("utf-8", "surrogateescape")


def interruption(name: str) -> bytes:
    """What is said on stdin: the request on the connection whose end on our side has this address ran too long."""
    return f"interrupt {name}\n".encode()


def _token(text: str) -> Token:
    if text == f"I have control {VERSION}":
        return Token.OFFER
    if text.startswith("I have control"):
        return Token.FOREIGN_OFFER
    if text == "":
        return Token.END
    if text in {"Ready", "Error"}:
        return Token.READY if text == "Ready" else Token.ERROR
    return Token.PAIR if re.match(r"[A-Za-z_]+: ", text, re.ASCII) else Token.NONSENSE


def _socket(value: str) -> AnnouncedSocket | Broken:
    fields = value.split(";")
    if len(fields) != 4 or not all(fields):
        return Broken(Fault.BAD_SOCKET, f"`socket: {value[:80]}` is not NAME;ADDRESS;PROTOCOL;CONCURRENCY")
    name, address, protocol, concurrency = fields
    if not re.fullmatch(r"unix:/.+|tcp://.+:[0-9]{1,5}", address, re.ASCII):
        return Broken(Fault.BAD_ADDRESS, f"`{address[:120]}` is neither unix:/PATH nor tcp://HOST:PORT")
    if not re.fullmatch(r"[0-9]{1,7}", concurrency, re.ASCII) or int(concurrency) > MAX_CONCURRENCY:
        return Broken(Fault.BAD_CONCURRENCY, f"`{concurrency[:40]}` is no number from 0 to {MAX_CONCURRENCY}")
    return AnnouncedSocket(name, address, protocol, int(concurrency))
