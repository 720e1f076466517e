"""The life of a loader that runs a program: spawn talk, start, announcement, waiting for the end, the end.

Rules.
1. End of stdin or SIGTERM: the program's group gets its stop signal, and the loader ends after its last process.
2. The program's end is the loader's end, with the same status (128 + N for signal N), so that the pool notices.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from passenger_loader.talk import Explanation, explain, say, shake_hands

from .command import Command, adopt_orphans
from .readiness import GivenUp, Place, PortTaken, wait_until_ready

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost some milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    Options = Mapping[str, str]
    Start = Callable[[Options, frozenset[int]], "tuple[Command, Place]"]

RETRIES = 3
MARGIN = 2.0
"""Seconds before the spawner's own deadline, which could only say "timeout"."""


def main(start: Start) -> NoReturn:
    """`start(options, ports to avoid)` starts the program; it raises Explanation."""
    began = time.monotonic()
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)  # the wake-up pipe tells
    adopt_orphans()
    try:
        options = shake_hands()
        limit = int(options.get("start_timeout", "90000")) / 1000
        command, address = started(start, options, began + max(limit - MARGIN, limit * 0.9), wake)
    except (Explanation, OSError, KeyError, ValueError) as error:
        explain(error)
        sys.exit(1)
    except GivenUp:
        sys.exit(1)
    say("\n!> Ready\n!> socket: main;%s;http_session;0\n!> \n" % address)
    watch(command, wake)
    status = command.finish()
    if address.startswith("unix:"):
        remove(address[5:])
    sys.exit(status)


def started(start: Start, options: Options, deadline: float, wake: int) -> tuple[Command, str]:
    """The running program and its address. Raises Explanation, GivenUp; nothing of the program is left then."""
    avoid: frozenset[int] = frozenset()
    for _ in range(RETRIES):
        command, place = start(options, avoid)
        try:
            return command, wait_until_ready(command, place, deadline, wake)
        except PortTaken:
            avoid |= {place.port}
            end(command, place)
        except BaseException:
            end(command, place)
            raise
    raise Explanation("somebody else took the port %d times: %s" % (RETRIES, ", ".join(map(str, sorted(avoid)))))


def end(command: Command, place: Place) -> None:
    command.kill()
    command.finish()
    if place.path:
        remove(place.path)


def watch(command: Command, wake: int) -> None:
    """Until the program has ended or was asked to end."""
    poll = select.poll()
    for fd in (command.pidfd, wake, 0):
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == command.pidfd:
                return
            if fd == wake or not os.read(0, 4096):
                command.stop()
                return


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # the program did it itself
