"""From the start of the program to the address on which it answers.

Rules.
1. Ready is what accepts a connection and is listened on by the program itself: a process of our session.
2. The port in a stranger's hands is no failure of the program: it is started again with another port, RETRIES times.
3. The program's end, the end of stdin and the deadline end the waiting.
"""

from __future__ import annotations

import os
import select
import sys
import time

from passenger_loader.talk import Explanation

from .command import describe
from .listeners import accepts, descends, holders, listening_inodes, ports_of, session_of

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost some milliseconds
if TYPE_CHECKING:
    from .command import Command

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two looks."""
PATIENCE_WITH_STRANGER = 5
"""Looks after which a listener that is not ours is taken for a stranger: /proc is not read in one moment."""


class PortTaken(Exception):  # noqa: N818 - what happened
    """Somebody else listens on the port."""


class GivenUp(Exception):  # noqa: N818 - what happened
    """The spawner does not want the program any more."""


class Place:
    """Where the program may listen."""

    def __init__(self, port: int, path: str = "") -> None:
        self.port = port
        self.path = path
        self._strange = 0

    def address(self) -> str | None:
        """What is to be announced; None while nobody answers. Raises PortTaken, Explanation."""
        if self.path and (pid := accepts(self.path)) is not None:
            if session_of(pid) != os.getsid(0):
                raise Explanation("the socket %s is listened on by process %d, %s" % (self.path, pid, ESCAPED))
            os.chmod(self.path, 0o600)
            return "unix:" + self.path
        if accepts(("127.0.0.1", self.port)) is None:
            return None
        return self._checked_port()

    def _checked_port(self) -> str | None:
        inodes = listening_inodes(self.port)
        pids = holders(set(inodes))
        if any(session_of(pid) == os.getsid(0) for pid in pids):
            if not all(inodes.values()):
                print("The program listens on all addresses; let it use $HOST (127.0.0.1) or $SOCKET", file=sys.stderr)
            return "tcp://127.0.0.1:%d" % self.port
        escaped = [pid for pid in pids if descends(pid, os.getpid())]
        if escaped:
            raise Explanation("the port %d is listened on by process %d, %s" % (self.port, escaped[0], ESCAPED))
        self._strange += 1
        if self._strange >= PATIENCE_WITH_STRANGER:
            raise PortTaken
        return None


ESCAPED = "which is not in the session of the command: it must stay in the foreground, without setsid or a daemon mode"


def wait_until_ready(command: Command, place: Place, deadline: float, wake: int) -> str:
    """The address. Raises Explanation, PortTaken, GivenUp."""
    poll = select.poll()
    for fd in (command.pidfd, wake, 0):
        poll.register(fd, select.POLLIN)
    pause = FIRST_PAUSE
    while True:
        address = place.address()
        if address is not None:
            return address
        if command.status() is not None:
            raise_end(command, place)
        left = deadline - time.monotonic()
        if left <= 0:
            raise_late(place)
        for fd, _ in poll.poll(1000 * min(pause, left)):
            if fd == wake or (fd == 0 and not os.read(0, 4096)):
                raise GivenUp
        pause = min(pause * 1.5, LONGEST_PAUSE)


def raise_late(place: Place) -> None:
    """It listened nowhere, or elsewhere: a port that is written down in the program is the usual mistake."""
    others = ", ".join(map(str, ports_of(os.getsid(0))))
    wanted = "neither on $PORT (%d) nor on $SOCKET" if place.path else "not on port %d"
    text = "the command listened " + wanted % place.port + " in time"
    raise Explanation(text + ("; it listens on port %s: let it take the port from $PORT" % others if others else ""))


def raise_end(command: Command, place: Place) -> None:
    """It ended before it listened: its own fault, unless somebody else has its port."""
    if listening_inodes(place.port):
        raise PortTaken
    status = command.status() or 0
    advice = "" if status else "; it must stay in the foreground"
    raise Explanation("the command %s before it listened%s" % (describe(status), advice))
