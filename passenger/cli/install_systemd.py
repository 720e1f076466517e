"""`passenger install-systemd`: places units of systemd for this installation, or removes them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from passenger.cli.configuration import SYSTEM_FILE, accepted, judge
from passenger.cli.options import examples
from passenger.config.accounts import SystemAccounts
from passenger.config.addresses import parse_address
from passenger.config.model import Config
from passenger.config.target_checks import LOWEST_FREE_PORT, MARGIN
from passenger.errors import EXIT_OK, HostError
from passenger.posix.sockets import shown_address
from passenger.systemd import placement, units

UNIT_DIR = "/etc/systemd/system"
RUNNING = "/run/systemd/system"
"""There when systemd is PID 1."""
UNIT_MODE = 0o644
FOLDER_MODE = 0o755
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]*\$?|[0-9]+", re.IGNORECASE)
_PATH = re.compile(r"/[A-Za-z0-9._/+-]*")
"""Without what a unit would read as something else."""


@click.command(
    "install-systemd",
    epilog=examples(
        "passenger install-systemd",
        "passenger install-systemd --user www-data --socket",
        "passenger install-systemd --with per-app-users --dry-run",
        "passenger install-systemd --uninstall",
    ),
)
@click.option("--user", metavar="NAME", default="passenger", show_default=True, help="User that the service runs as.")
@click.option("--group", metavar="NAME", help="Its group.  [default: as the user]")
@click.option("--config", "config_file", metavar="FILE", default=SYSTEM_FILE, show_default=True, help="Configuration.")
@click.option("--socket", "has_socket", is_flag=True, help="Let systemd listen on the addresses of the configuration.")
@click.option(
    "--with", "dropins", type=click.Choice(units.DROPINS), multiple=True, help="Also this drop-in. Repeatable."
)
@click.option("--prefix", metavar="DIR", help="Virtual environment with Passenger.  [default: this one]")
@click.option("--root", metavar="DIR", default="", help="Place them into another file system, such as an image.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would change, and show the files.")
@click.option("--uninstall", "is_leaving", is_flag=True, help="Remove what this command has placed.")
def install_systemd(
    *,
    user: str,
    group: str | None,
    config_file: str,
    has_socket: bool,
    dropins: tuple[str, ...],
    prefix: str | None,
    root: str,
    is_dry: bool,
    is_leaving: bool,
) -> int:
    """Place `passenger.service` and what belongs to it, as docs/systemd.md describes them.

    The time that a stop may take and, with --socket, the addresses are taken from the configuration. Running it again
    changes what was chosen. Nothing is started or stopped.
    """
    folder = f"{root.rstrip('/')}{UNIT_DIR}"
    chosen: dict[str, str] = {}
    notes = ["hint: what still runs goes on until `systemctl stop`; `systemctl disable` forgets the links to the units"]
    if not is_leaving:
        _check_words(user, group or user, config_file, prefix or sys.prefix)
        config = _configuration(f"{root.rstrip('/')}{config_file}", must_exist=has_socket)
        addresses = [] if config is None else _addresses(config)
        settings = units.Settings(
            prefix=prefix or sys.prefix, config=config_file, user=user, group=group or user, stop=_stop(config)
        )
        chosen = placement.wanted(settings, addresses=addresses if has_socket else None, dropins=dropins)
        notes = _notes(addresses, user, has_socket=has_socket, dropins=dropins, is_here=not root)
    changes = placement.changes(_present(folder), chosen, folder=folder)
    for change in changes:
        print(f"{'would be ' if is_dry else ''}{change.what}: {folder}/{change.path}")
        if is_dry and change.text is not None:
            print("".join(f"  | {line}\n" for line in change.text.splitlines()), end="")
    if not changes:
        print("nothing to change")
    if not is_dry:
        _carry_out(folder, changes)
        _tell_systemd(bool(changes) and not root)
    for note in notes:
        print(note, file=sys.stderr)
    return EXIT_OK


def _check_words(user: str, group: str, *paths: str) -> None:
    """What is written into a unit is read by systemd: no blanks, no `%`. Raises UsageError."""
    for name in (user, group):
        if not _ACCOUNT.fullmatch(name):
            raise click.UsageError(f"{name!r} is no name of a user or group")
    for path in paths:
        if not _PATH.fullmatch(path):
            raise click.UsageError(f"{path!r}: give an absolute path of letters, digits and . _ + - only")


def _configuration(file: str, *, must_exist: bool) -> Config | None:
    """None when there is none yet. Raises InvalidConfigurationError, HostError."""
    if not Path(file).exists():
        if must_exist:
            raise HostError(f"there is no {file}: which addresses would the socket have?", hint="write it first")
        return None
    loaded = judge(file, cwd="/", flags=(), environ=os.environ, host=None, read_secrets=False, read_env_files=False)
    return accepted(loaded).config


def _addresses(config: Config) -> list[str]:
    """What the managed nginx of any instance listens on."""
    found = []
    for instance in config.instances.values():
        if instance.nginx.mode == "managed":
            listed = [listener.address for listener in instance.nginx.listen]
            found += [*listed, *([instance.admin.listen] if instance.admin.listen else [])]
    return [shown_address(*parse_address(address)) for address in dict.fromkeys(found)]


def _stop(config: Config | None) -> float:
    """Seconds that a stop may take, never less than the units' own."""
    watchdogs = [] if config is None else [instance.watchdog for instance in config.instances.values()]
    return max([units.STOP, *(one.drain_delay + one.drain_timeout + 2 * MARGIN for one in watchdogs)])


def _notes(
    addresses: Sequence[str], user: str, *, has_socket: bool, dropins: Sequence[str], is_here: bool
) -> list[str]:
    """What is left to do."""
    notes = []
    low = [address for address in addresses if int(address.rpartition(":")[2]) < LOWEST_FREE_PORT]
    if low and not has_socket and "low-ports" not in dropins:
        notes.append(f"warning: {low[0]} cannot be bound by the service: use --socket, or --with low-ports")
    if is_here and SystemAccounts().user(user) is None and not user.isdigit():
        notes.append(f"hint: useradd --system --user-group --home-dir /var/lib/passenger {user}")
    enabled = f"{placement.SOCKET} {placement.SERVICE}" if has_socket else placement.SERVICE
    return [*notes, f"hint: systemctl enable --now {enabled}"]


def _present(folder: str) -> dict[str, str]:
    """What lies where our files go. Raises HostError."""
    found = {}
    for path in placement.possible():
        try:
            with os.fdopen(os.open(f"{folder}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as stream:
                found[path] = stream.read()
        except FileNotFoundError:
            continue
        except OSError as error:
            masked = error.errno == errno.ELOOP
            hint = "it is a symbolic link: `systemctl unmask` or `systemctl revert` it" if masked else ""
            raise HostError(f"{folder}/{path} cannot be read: {error.strerror}", hint=hint) from error
    return found


def _carry_out(folder: str, changes: Iterable[placement.Change]) -> None:
    """Each file appears whole, or is gone. Raises HostError."""
    for change in changes:
        file = Path(folder, change.path)
        try:
            if change.text is None:
                file.unlink()
                if file.parent != Path(folder):
                    with contextlib.suppress(OSError):  # drop-ins of the operator's are in it
                        file.parent.rmdir()
                continue
            file.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            beside = file.with_name(f".{file.name}.new")
            beside.unlink(missing_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, UNIT_MODE)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(change.text)
                os.fchmod(descriptor, UNIT_MODE)
            beside.replace(file)
        except OSError as error:
            hint = "this needs root" if error.errno in {errno.EACCES, errno.EPERM} else ""
            raise HostError(f"{file} cannot be placed: {error.strerror}", hint=hint) from error


def _tell_systemd(has_changed: bool) -> None:  # noqa: FBT001 - private
    """So that it knows what was placed. Raises HostError."""
    if not has_changed or not Path(RUNNING).is_dir():
        return
    done = subprocess.run(["systemctl", "daemon-reload"], check=False, capture_output=True, text=True)  # noqa: S607
    if done.returncode:
        raise HostError(f"systemctl daemon-reload failed: {done.stderr.strip()}", hint="the files are in place")
