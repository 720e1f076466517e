"""Everything about a spawn that can be decided before a process is made: who, where, what, with which words.

Rules.
1. The file system is only looked at (lstat), nothing of the application is opened or read.
2. What is wrong here is a SpawnFailure with a category of its own.
3. Decided anew for each spawn: a fixed folder or a new user heals without a restart of anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from passenger import resources
from passenger.config import apptypes
from passenger.config.accounts import Accounts, SystemAccounts
from passenger.config.apptypes import AppType
from passenger.config.bounds import Bounds
from passenger.config.identity import Wish
from passenger.config.model import App
from passenger.lazy_dataclass import dataclass
from passenger.posix.delegation import AppCgroups
from passenger.posix.users import Identity, IdentityError, identity_for
from passenger.spawn import environment
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.journey import JourneyObserver
from passenger.spawn.limits import SpawnLimits, limits_for
from passenger.wire.spawn import ERRANDS, INTERRUPTS

NO_BOUNDS: Final = Bounds()
LOGIN_SHELLS: Final = frozenset({"bash", "zsh", "ksh", "mksh", "sh", "dash", "ash"})
"""Shells that understand `-lc 'exec "$@"'`; users of others get no shell step."""
TOLD_TO_EACH: Final = frozenset({"start_timeout", "shutdown_timeout"})
"""Words of a request that a forked process hears anew."""
LEVEL_NUMBERS: Final = {"error": "1", "warn": "2", "info": "4", "debug": "5"}
"""Passenger's numbers, which its loaders expect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnContext:
    """What all spawns of an instance have in common."""

    socket_dir: str
    version: str
    log_level: str
    default_user: str
    default_group: str | None
    environ: Mapping[str, str]
    """The core's own environment."""
    umask: int
    python: str
    """Interpreter that runs SpawnPreparer, and applications that name none and have no virtual environment."""
    helper_scripts: str
    uvicorn_folder: str
    """Where Passenger's own uvicorn is; "" when it has none."""
    accounts: Accounts
    uid: int
    gid: int
    groups: tuple[int, ...]
    adopter: int
    """Process that becomes the parent of orphans: the watchdog."""
    bounds: Bounds = NO_BOUNDS
    """Our own limits."""
    cgroups: AppCgroups | None = None
    """None = no application has a cgroup of its own."""
    journey_observers: list[JourneyObserver] = field(default_factory=list)
    """Told of each start of a process that is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnSpec:
    """One spawn, decided."""

    name: str
    app: App
    context: SpawnContext
    identity: Identity
    shell: str | None
    """Login shell to go through, or None."""
    program: tuple[str, ...]
    """The loader's or preloader's command line."""
    interpreter_key: str
    """Configuration key of the interpreter; "" for Passenger's own."""
    is_preloader: bool
    inherited: Mapping[str, str]
    limits: SpawnLimits
    variables: Mapping[str, str]
    """Set over everything that is inherited: Passenger's and the configuration's."""
    request: Mapping[str, str]
    """The pairs of the request block that are the same for every process."""

    def starts_like(self, other: SpawnSpec) -> bool:
        """Whether what was started by this is as good as what would be started by the other one.

        What need not be the same are keys that change without a restart: each process is told its own.
        """
        alike = replace(self, app=other.app, request=other.request)
        words = self.request.keys() | other.request.keys()
        return alike == other and all(
            self.request.get(word) == other.request.get(word) for word in words - TOLD_TO_EACH
        )


def system_context(
    *,
    socket_dir: str,
    version: str,
    log_level: str,
    default_user: str,
    default_group: str | None,
    bounds: Bounds = NO_BOUNDS,
    cgroups: AppCgroups | None = None,
) -> SpawnContext:
    """The context of this process on this machine."""
    return SpawnContext(
        socket_dir=socket_dir,
        version=version,
        log_level=log_level,
        default_user=default_user,
        default_group=default_group,
        environ=dict(os.environ),
        umask=_own_umask() or 0o022,  # a core that was started with umask 000 passes on no open door
        python=sys.executable,
        helper_scripts=str(resources.folder("helper_scripts")),
        uvicorn_folder=_folder_of("uvicorn"),
        accounts=SystemAccounts(),
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=tuple(os.getgroups()),
        adopter=os.getppid(),
        bounds=bounds,
        cgroups=cgroups,
    )


def work_out(name: str, app: App, context: SpawnContext, *, preload: bool = False) -> SpawnSpec:
    """Decide one spawn; with `preload`, that of the preloader if its type has one. Raises SpawnFailure."""
    kind = _kind(app, context)
    startup_file = _startup_file(app, kind)
    identity = _identity(app, startup_file, context)
    variables = environment.passenger_variables(app) | environment.configured(app)
    _refuse_nul(variables)
    script = kind.preloader if preload else None
    program = (*_interpreter(app, kind, context), f"{context.helper_scripts}/{script or kind.loader}")
    request = _request(name, app, kind, startup_file, program, context)
    return SpawnSpec(
        name=name,
        app=app,
        context=context,
        identity=identity,
        shell=_login_shell(identity) if app.load_shell_envvars else None,
        program=program,
        interpreter_key=kind.interpreter,
        is_preloader=script is not None,
        inherited=environment.inherited(context.environ, identity, app.inherit),
        limits=limits_for(app, context.bounds),
        variables=variables,
        request=request | {"spawn_method": "smart" if script else "direct"},
    )


def _closed_folder(path: str) -> str | None:
    """The first folder on the way that this process may not enter, and so not look into either. Root enters all."""
    if os.access(path, os.X_OK):
        return None
    folders = [*reversed(Path(path).parents), Path(path)]
    return next((str(folder) for folder in folders if folder.is_dir() and not os.access(folder, os.X_OK)), None)


def _kind(app: App, context: SpawnContext) -> AppType:
    if closed := _closed_folder(app.app_root):
        user = context.accounts.user_by_id(context.uid)
        raise SpawnFailure(
            "app-root-closed",
            f"user {user.name if user else context.uid} may not enter {closed}",
            hint=f"give that user the right to enter it: chmod o+x {closed}, or choose another `user`",
        )
    if not os.path.isdir(app.app_root):  # noqa: PTH112 - a stat, not a Path
        raise SpawnFailure(
            "app-root-missing", f"{app.app_root} is no folder", hint="correct `app_root`, or deploy the application"
        )
    if kind := apptypes.told(app):
        return kind
    if not apptypes.leaves_it_to_files(app):
        raise SpawnFailure(
            "app-type-unknown",
            f"app_type `{app.app_type}` is not known" if app.app_type else f"{app.startup_file} does not tell the type",
            hint="correct `app_type`",
        )
    kind = apptypes.detect(app.app_root, exists=os.path.lexists)
    if kind is None:
        expected = ", ".join(f"`{name}`" for name in apptypes.known_startup_files())
        raise SpawnFailure(
            "startup-file-missing",
            f"{app.app_root} holds no application that is recognised (looked for {expected})",
            hint="create the file, or name it with `startup_file`, or name the object with `entry_point`, "
            "or the program with `app_start_command`",
        )
    return kind


def _startup_file(app: App, kind: AppType) -> str | None:
    """The full path of what is loaded by name; None with an entry point or a command."""
    path = apptypes.startup_path(kind, app, exists=os.path.lexists)
    if path is not None and not os.path.lexists(path):
        what = "folder" if kind.is_folder else "file"
        raise SpawnFailure(
            "startup-file-missing",
            f"the startup {what} {path} does not exist",
            hint="create it, or correct `startup_file`"
            + (", or name the object with `entry_point`" if kind.takes_entry_point else ""),
        )
    return path


def _identity(app: App, startup_file: str | None, context: SpawnContext) -> Identity:
    try:
        owner: int | None = os.lstat(startup_file or app.app_root).st_uid
    except OSError:
        owner = None
    wish = Wish(
        user=app.user,
        group=app.group,
        owner=owner,
        default_user=context.default_user,
        default_group=context.default_group,
    )
    try:
        return identity_for(
            wish,
            own_uid=context.uid,
            own_gid=context.gid,
            own_groups=list(context.groups),
            accounts=context.accounts,
        )
    except IdentityError as error:
        raise SpawnFailure(error.category, error.message, hint=error.hint) from error


def _interpreter(app: App, kind: AppType, context: SpawnContext) -> tuple[str, ...]:
    """The program that runs the loader, with its flags. A name without a slash is found in the application's PATH."""
    if kind.interpreter == "ruby":
        return (app.ruby or "ruby",)
    if kind.interpreter == "nodejs":
        return (app.nodejs or "node",)
    if kind.interpreter == "python":
        return (app.python or _virtual_environment(app) or context.python,)
    return (context.python, "-I", "-S")  # whatever PYTHON* variables the application sets are for its own Python


def _virtual_environment(app: App) -> str | None:
    paths = (f"{app.app_root}/{place}" for place in (".venv/bin/python", "venv/bin/python"))
    return next((path for path in paths if os.path.lexists(path)), None)


def _login_shell(identity: Identity) -> str | None:
    shell = identity.account.shell
    return shell if os.path.basename(shell) in LOGIN_SHELLS and os.access(shell, os.X_OK) else None  # noqa: PTH119


def _request(
    name: str, app: App, kind: AppType, startup_file: str | None, program: tuple[str, ...], context: SpawnContext
) -> dict[str, str]:
    """What loaders are told, first what those of Passenger 5 rely on, then our own; an empty value is not said."""
    interpreter = {kind.interpreter: program[0]} if kind.interpreter else {}
    return {
        "passenger_root": str(Path(context.helper_scripts).parent),
        "passenger_version": context.version,
        "ruby_libdir": context.helper_scripts,
        "UNIX_PATH_MAX": "108",
        "instance_dir": str(Path(context.socket_dir).parent),
        "socket_dir": context.socket_dir,
        "app_root": app.app_root,
        "app_group_name": name,
        "app_type": kind.name,
        "start_command": "\t".join(program),
        "startup_file": "" if startup_file is None else startup_file.removeprefix(f"{app.app_root}/"),
        "process_title": kind.process_title,
        "log_level": LEVEL_NUMBERS[context.log_level],
        "start_timeout": str(int(app.start_timeout * 1000)),
        "environment": app.app_env,
        "base_uri": app.base_uri,
        "user": app.user or "",
        "group": app.group or "",
        "default_user": context.default_user,
        "default_group": context.default_group or "",
        **interpreter,
        "meteor_app_settings": (app.meteor_app_settings or "") if kind.name == "meteor" else "",
        "debugger": "false",
        "analytics": "false",
        **_own_request(app, kind, context),
    }


def _own_request(app: App, kind: AppType, context: SpawnContext) -> dict[str, str]:
    """What only our own loaders know."""
    limit = app.force_max_concurrent_requests_per_process
    return {
        "entry_point": (app.entry_point or "") if kind.takes_entry_point else "",
        "app_start_command": (app.app_start_command or "") if kind.name == "generic" else "",
        "shutdown_timeout": f"{app.shutdown_timeout:g}",
        "interrupts": INTERRUPTS,
        "oobw": ERRANDS if kind.speaks_http else "",
        "thread_count": str(app.thread_count) if kind.has_threads else "",
        "max_concurrent_requests": "" if limit is None or not kind.speaks_http else str(limit),
        "core_uid": str(context.uid),
        "uvicorn_path": context.uvicorn_folder if kind.interpreter == "python" and kind.speaks_http else "",
    }


def _refuse_nul(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if "\0" in value or "\0" in name or "=" in name:
            raise SpawnFailure(
                "environment-invalid",
                f"the environment variable {name!r} cannot be set",
                hint="correct it in the `env` table: a value holds no NUL, a name neither NUL nor `=`",
            )


def _folder_of(package: str) -> str:
    """The folder in which a package of Passenger's own environment lies, without importing it."""
    found = find_spec(package)
    return "" if found is None or found.origin is None else str(Path(found.origin).parents[1])


def _own_umask() -> int:
    """The umask of this process, read without changing it."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("Umask:")).split()[1], 8)
    except (OSError, StopIteration, ValueError):
        return 0o022
