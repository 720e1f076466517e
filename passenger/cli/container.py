"""`passenger container`: the entry point of the container images.

Rules.
1. No argument, or a first one that begins with `-`, means `start`. The name of a command of ours runs that command. Any
   other program is run instead of us, and nothing of ours is started.
2. Hooks and secrets by file come before `start` and before other programs: both see the same environment. Commands of
   ours (`status`, `validate`, ...) look at things and run without them.
3. Nothing is written and no file is edited: what is shipped in an image stays as it is.
4. What is loaded before the core begins makes every start later: here is only what decides whether it begins. What
   `start` is, is in `container_start`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from passenger.cli.catalogue import COMMANDS
from passenger.cli.early_core import begin_core
from passenger.cli.filed_secrets import read_filed
from passenger.errors import EXIT_OK, HostError
from passenger.later_inspect import import_inspect_later
from passenger.watchdog.child import STOPPING

if TYPE_CHECKING:
    from typing import NoReturn

HOOKS: Final = "/docker-entrypoint.d"
HOOKS_VARIABLE: Final = "PASSENGER_HOOKS"

CANNOT_EXECUTE: Final = 126
NOT_FOUND: Final = 127

_HELP: Final = """\
Usage: passenger container [COMMAND | PROGRAM] [ARGUMENTS]

  The entry point of the container images.

  Without a command, or with options only, it is `passenger start` of /app/passenger.toml, else of
  /etc/passenger/passenger.toml, else of the application in /app (0.0.0.0:8080, production).
  The name of a command of Passenger runs it; any other program is run in place of Passenger.

  /docker-entrypoint.d/*.sh and *.envsh are run first (not for commands other than start);
  PASSENGER_HOOKS=off leaves them out. NAME_FILE=/run/secrets/FILE sets NAME.

Examples:
  passenger container --port 9000
  passenger container status
  passenger container python manage.py migrate
"""


class ProgramMissingError(HostError):
    """What was to be run instead of us cannot be."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(
            message, hint=f"commands of Passenger: {', '.join(name for name in COMMANDS if COMMANDS[name][1])}"
        )
        self.exit_status = status


def container(arguments: list[str]) -> int:
    """Do what the arguments of the container ask for."""
    if arguments[:1] in (["--help"], ["-h"]):
        print(_HELP, end="")
        return EXIT_OK
    first = arguments[0] if arguments else ""
    if first in {"help", "--version", *COMMANDS} - {"start", "container"}:
        from passenger.cli.main import dispatch

        return dispatch(arguments)
    for number in STOPPING:
        signal.signal(number, _stopped)  # a PID 1 without handlers would not see it
    environ = _prepared(os.environ)
    if first in {"", "start"} or first.startswith("-"):
        os.environ.clear()
        os.environ.update(environ)
        begin_core(arguments, os.environ, euid=os.geteuid())
        given = arguments[1:] if first == "start" else arguments
        return _start(given, environ)
    return _run_instead(arguments, environ)


def _stopped(number: int, _: object) -> NoReturn:
    """SystemExit, because no layer above mistakes it for a failure of what it just tried."""
    print(f"stopped by {signal.Signals(number).name} before anything was started", file=sys.stderr)
    raise SystemExit(128 + number)


def _start(given: list[str], environ: Mapping[str, str]) -> int:
    """Load the rest, while the core loads. No garbage is looked for: this process becomes another one, or ends."""
    gc.disable()
    import_inspect_later()
    from passenger.cli.container_start import start

    return start(given, environ)


def _prepared(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment after hooks and secrets. Raises HostError, InvalidConfigurationError."""
    left = dict(environ)
    if left.get(HOOKS_VARIABLE) != "off":
        left = _after_hooks(left)
    return read_filed(left, read=_read)


def _after_hooks(environ: dict[str, str]) -> dict[str, str]:
    """Most containers have none. Raises HostError."""
    try:
        with os.scandir(HOOKS) as entries:
            if next(entries, None) is None:
                return environ
    except FileNotFoundError:
        return environ
    except OSError:
        pass  # `find_hooks` says what is wrong with it
    from passenger.cli.container_hooks import find_hooks, run_hooks

    return run_hooks(find_hooks(HOOKS), environ)


def _read(path: str) -> str:
    from pathlib import Path

    return Path(path).read_text(encoding="utf-8")


def _run_instead(arguments: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Nothing of ours stays in between: the program is PID 1 itself, or whatever we were."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    import shutil

    program = shutil.which(arguments[0], path=environ.get("PATH"))
    if program is None:
        raise ProgramMissingError(f"{arguments[0]!r} is neither a command of Passenger nor a program here", NOT_FOUND)
    sys.stdout.flush()
    try:
        os.execve(program, arguments, dict(environ))  # noqa: S606 - an argv list
    except OSError as error:
        raise ProgramMissingError(f"{program} cannot be run: {error.strerror}", CANNOT_EXECUTE) from error
