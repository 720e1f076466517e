"""Loader for a Meteor application in its source form (`.meteor`): runs `meteor run`, and announces its port.

A bundled application (`meteor build`) is a Node.js application with the startup file `main.js`; it needs no Meteor.
This runs under Passenger's own interpreter.
"""

from __future__ import annotations

import os
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

FOLLOWING = 2
"""`meteor run` takes the next ports too: for its database and for the application behind its proxy."""


def start(options: Mapping[str, str], avoid: frozenset[int]) -> tuple[Command, Place]:
    """Run Meteor on a port of its own; it wants SIGINT to end."""
    program = find_meteor()
    place = Place(free_port(FOLLOWING, avoid=avoid))
    argv = [program, "run", "-p", str(place.port)]
    if options.get("meteor_app_settings"):
        argv += ["--settings", options["meteor_app_settings"]]
    if options.get("environment") == "production":
        argv.append("--production")
    return Command(argv, os.environ, signal.SIGINT), place


def find_meteor() -> str:
    """That of PATH, else the one that its installer puts into the user's home, of which only shells are told."""
    own = os.path.expanduser("~/.meteor/meteor")
    found = shutil.which("meteor") or shutil.which(own)
    if found is None:
        raise Explanation(
            "the program `meteor` is neither in PATH (%s) nor %s: install Meteor for this user, or deploy what "
            "`meteor build` makes" % (os.environ.get("PATH", ""), own)
        )
    return found


if __name__ == "__main__":
    main(start)
