"""Loader for any program that speaks HTTP: runs `app_start_command` and announces where it listens.

The program gets `PORT` with `HOST` (127.0.0.1), and `SOCKET`, the path of a Unix socket: it listens on one of them.
This runs under Passenger's own interpreter, not under one of the application.

Rules.
1. The command is the application's: it goes to /bin/sh as it is, in the application's folder and environment.
2. A command that is one simple program replaces the shell, so that its signals and its status are its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from passenger_loader.talk import Explanation
from passenger_runner.command import Command
from passenger_runner.loader import main
from passenger_runner.ports import free_port
from passenger_runner.readiness import Place

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost some milliseconds
if TYPE_CHECKING:
    from collections.abc import Mapping


def start(options: Mapping[str, str], avoid: frozenset[int]) -> tuple[Command, Place]:
    """Run the command on a port and a path of its own."""
    text = options.get("app_start_command")
    if not text:
        raise Explanation("app_start_command is not set: there is nothing to run")
    place = Place(free_port(avoid=avoid), os.path.join(options["socket_dir"], "generic." + os.urandom(12).hex()))
    environ = {**os.environ, "PORT": str(place.port), "HOST": "127.0.0.1", "SOCKET": place.path}
    argv = ["/bin/sh", "-c", "exec " + text if is_simple(text) else text]
    return Command(argv, environ, signal.SIGTERM), place


def is_simple(text: str) -> bool:
    """Whether it is one program with its arguments: nothing for the shell to do when it has begun."""
    words = text.split()
    if not words or re.search(r"[;&|()`\n]", text) or not re.fullmatch(r"[\w./+-]+", words[0]):
        return False
    return "/" in words[0] or shutil.which(words[0]) is not None


if __name__ == "__main__":
    main(start)
