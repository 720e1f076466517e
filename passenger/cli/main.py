"""The programs `passenger`, `passenger-status`, ...: find the command, run it, turn errors into messages and status.

Rules.
1. Only the chosen command's module is imported; help and version pages import nothing at all.
2. A PassengerError is caught here and nowhere else: `error: ...` and its hint on stderr, its exit status to the shell.
3. A reader that went away (`passenger status | head`) is no error worth a message.
"""

from __future__ import annotations

import errno
import os
import sys

from passenger.cli.catalogue import GROUPS, PLAIN, PROGRAMS, START, TOOL, help_text, program_of
from passenger.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, InvalidConfigurationError, PassengerError

TYPE_CHECKING = False  # importing `typing` for this costs more than the help page
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from click import Command

INTERRUPTED = 130


def main() -> NoReturn:
    """Entry point of `passenger`."""
    sys.exit(guarded(lambda: dispatch(sys.argv[1:])))


def passenger_status() -> NoReturn:
    """Entry point of `passenger-status`."""
    _only_command("passenger-status")


def passenger_memory_stats() -> NoReturn:
    """Entry point of `passenger-memory-stats`."""
    _only_command("passenger-memory-stats")


def passenger_config() -> NoReturn:
    """Entry point of `passenger-config`."""
    sys.exit(guarded(lambda: dispatch(sys.argv[1:], TOOL)))


def _only_command(program: str) -> NoReturn:
    sys.exit(guarded(lambda: run_target(PROGRAMS[program], sys.argv[1:], program)))


def guarded(run: Callable[[], int]) -> int:
    """Run a command; every way it can end becomes an exit status."""
    _print_anything()
    try:
        status = run()
        sys.stdout.flush()
    except PassengerError as error:
        report(error)
        return error.exit_status
    except BrokenPipeError:
        _forget_stdout()
        return EXIT_FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        report(PassengerError("the output cannot be written: no space left on device"))
        _forget_stdout()
        return EXIT_FAILED
    return status


def report(error: PassengerError) -> None:
    """Say what went wrong on stderr. A rejected configuration is a finished report already."""
    if isinstance(error, InvalidConfigurationError):
        text = error.message.rstrip("\n") + (f"\nhint: {error.hint}" if error.hint else "")
    else:
        text = f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else "")
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # nobody is left to read it; the exit status still tells
        return


def dispatch(arguments: Sequence[str], group: str = "") -> int:
    """Run the command named by the first argument."""
    program = program_of(group)
    if arguments[:1] == ["help"] and len(arguments) > 1:
        return dispatch([*arguments[1:], "--help"], group)
    if not arguments or arguments[0] in {"--help", "-h", "help"}:
        print(help_text(group), end="")
        return EXIT_OK if arguments else EXIT_USAGE
    name, rest = arguments[0], arguments[1:]
    if not group and name in {"--version", "-v"}:
        name, rest = "version", ()
    if name not in GROUPS[group]:
        return _unknown(name, group, program)
    if not GROUPS[group][name][0]:
        return dispatch(rest, name)
    return run_target(GROUPS[group][name][0], rest, f"{program} {name}")


def run_target(target: str, arguments: Sequence[str], program: str) -> int:
    """Import a command and run it with its own arguments."""
    import importlib

    if target == START:
        from passenger.cli.early_core import begin_core

        begin_core(arguments, os.environ, euid=os.geteuid())
    module, name = target.split(":")
    command = getattr(importlib.import_module(module), name)
    if target in PLAIN:
        return int(command(list(arguments)))
    return _run_click(command, arguments, program)


def _run_click(command: Command, arguments: Sequence[str], program: str) -> int:
    import click

    try:
        status = command.main(list(arguments), prog_name=program, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    return status if isinstance(status, int) else EXIT_OK


def _unknown(name: str, group: str, program: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(name, [known for known, (_, summary) in GROUPS[group].items() if summary], n=1)
    guess = f" Did you mean `{near[0]}`?" if near else ""
    print(f"error: `{program}` has no command {name!r}.{guess}\nhint: {program} --help", file=sys.stderr)
    return EXIT_USAGE


def _print_anything() -> None:
    """A name that the locale cannot show is escaped, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Keep the interpreter's own flush at exit from complaining about the pipe again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
