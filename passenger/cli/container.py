"""`passenger container`: the entry point of the container images.

Rules.
1. No argument, or a first one that begins with `-`, means `start`. The name of a command of ours runs that command. Any
   other program is run instead of us, and nothing of ours is started.
2. Hooks and secrets by file come before `start` and before other programs: both see the same environment. Commands of
   ours (`status`, `validate`, ...) look at things and run without them.
3. `start` without `--config` and without a folder: `/app/passenger.toml`, else `/etc/passenger/passenger.toml`, else
   the application in `/app`, on every address, port 8080, as `production`, with a drain that fits `docker stop`.
4. Nothing is written and no file is edited: what is shipped in an image stays as it is.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from passenger.cli.catalogue import COMMANDS
from passenger.cli.configuration import LOCAL_FILE, SYSTEM_FILE
from passenger.cli.container_hooks import FOLDER, STOPPING, find_hooks, run_hooks
from passenger.cli.early_core import begin_core
from passenger.cli.filed_secrets import read_filed
from passenger.cli.standalone import instance_name
from passenger.cli.start_request import StartRequest
from passenger.errors import EXIT_OK, HostError, InvalidConfigurationError

if TYPE_CHECKING:
    from typing import NoReturn

APP: Final = "/app"
ADDRESS: Final = "0.0.0.0"  # noqa: S104 - a container's own network; what is published is decided outside
PORT: Final = 8080
ENVIRONMENTS: Final = ("PASSENGER_APP_ENV", "RAILS_ENV", "RACK_ENV", "NODE_ENV", "WSGI_ENV")
"""The first that is set names the environment of an application without a configuration."""
DRAIN_KEY: Final = "drain_timeout"
DRAIN: Final = "8s"
"""Less than the 10 s that `docker stop` leaves; a configuration says what else it should be."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType(
    dict.fromkeys(("config_file", "directory", "address", "port", "environment")) | {"sets": ()}
)
"""The parameters of `passenger start` without arguments."""
SPELLING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"directory": (), "config_file": ("--config",), "sets": ("--set",)}
)
"""Of parameters whose option has another name; an argument has none."""
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
    from passenger.cli.main import dispatch

    if arguments[:1] in (["--help"], ["-h"]):
        print(_HELP, end="")
        return EXIT_OK
    first = arguments[0] if arguments else ""
    if first in {"help", "--version", *COMMANDS} - {"start", "container"}:
        return dispatch(arguments)
    for number in STOPPING:
        signal.signal(number, _stopped)  # a PID 1 without handlers would not see it
    environ = _prepared(os.environ)
    if first in {"", "start"} or first.startswith("-"):
        os.environ.clear()
        os.environ.update(environ)
        begin_core(arguments, os.environ, euid=os.geteuid())
        given = arguments[1:] if first == "start" else arguments
        return _explained(lambda: _start(given, environ))
    return _run_instead(arguments, environ)


def _stopped(number: int, _: object) -> NoReturn:
    """SystemExit, because no layer above mistakes it for a failure of what it just tried."""
    print(f"stopped by {signal.Signals(number).name} before anything was started", file=sys.stderr)
    raise SystemExit(128 + number)


def _start(given: list[str], environ: Mapping[str, str]) -> int:
    """`passenger start`. Without arguments there is nothing to parse, and click need not be loaded."""
    from passenger.cli.main import dispatch
    from passenger.cli.starting import run

    if given:
        return dispatch(["start", *start_arguments(given, environ, exists=os.path.exists)])
    return run(StartRequest(cwd=str(Path.cwd()), **additions(NOTHING, environ, exists=os.path.exists)))


def start_arguments(given: Sequence[str], environ: Mapping[str, str], *, exists: Callable[[str], bool]) -> list[str]:
    """The arguments of `passenger start`: those given, and what a container adds where they leave it open."""
    chosen = _parameters(given)
    if chosen is None:
        return list(given)
    added = []
    for name, value in additions(chosen, environ, exists=exists).items():
        options = SPELLING.get(name, (f"--{name}",))
        added += [word for item in (value if name == "sets" else [value]) for word in (*options, str(item))]
    return [*given, *added]


def additions(
    chosen: Mapping[str, Any], environ: Mapping[str, str], *, exists: Callable[[str], bool]
) -> dict[str, Any]:
    """What a container adds to the parameters of `passenger start`, by their names in a StartRequest."""
    folder = chosen["directory"]
    if chosen["config_file"] is not None or (folder is not None and exists(f"{folder}/{LOCAL_FILE}")):
        return {}
    if folder is None:
        for file in (f"{APP}/{LOCAL_FILE}", SYSTEM_FILE):
            if exists(file):
                return {"config_file": file}
    added: dict[str, Any] = {} if folder is not None else {"directory": APP}
    defaults = {"address": ADDRESS, "port": PORT, "environment": _environment(environ)}
    added |= {name: value for name, value in defaults.items() if chosen[name] is None}
    if not any(DRAIN_KEY in item for item in (*chosen["sets"], *environ)):
        added["sets"] = (f"instances.{instance_name(folder or APP)}.watchdog.{DRAIN_KEY}={DRAIN}",)
    return added


def _parameters(given: Sequence[str]) -> dict[str, Any] | None:
    """What click makes of the arguments; None for a mistake in them, which `start` itself explains."""
    import click

    from passenger.cli.start import start

    try:
        return start.make_context("passenger start", list(given), resilient_parsing="--help" in given).params
    except click.UsageError:
        return None


def _environment(environ: Mapping[str, str]) -> str:
    return next((value for name in ENVIRONMENTS if (value := environ.get(name))), "production")


def _prepared(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment after hooks and secrets. Raises HostError, InvalidConfigurationError."""
    left = dict(environ)
    if left.get(HOOKS_VARIABLE) != "off":
        left = run_hooks(find_hooks(FOLDER), left)
    return read_filed(left, read=lambda path: Path(path).read_text(encoding="utf-8"))


def _explained(start: Callable[[], int]) -> int:
    """Whoever sees `nothing to start` in a container has most likely mounted or copied nothing."""
    try:
        return start()
    except InvalidConfigurationError as error:
        if "nothing to start" in error.message:
            error.hint += (
                f'\nhint: in a container: `docker run -v "$PWD":{APP} ...` mounts an application, `COPY . {APP}` in a '
                "Dockerfile puts it in"
            )
        raise


def _run_instead(arguments: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Nothing of ours stays in between: the program is PID 1 itself, or whatever we were."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    program = shutil.which(arguments[0], path=environ.get("PATH"))
    if program is None:
        raise ProgramMissingError(f"{arguments[0]!r} is neither a command of Passenger nor a program here", NOT_FOUND)
    sys.stdout.flush()
    try:
        os.execve(program, arguments, dict(environ))  # noqa: S606 - an argv list
    except OSError as error:
        raise ProgramMissingError(f"{program} cannot be run: {error.strerror}", CANNOT_EXECUTE) from error
