"""What an application's interpreter says of itself, asked as the application's user.

Rule: a program that an application may have put there never runs as root.
"""

from __future__ import annotations

import subprocess
from typing import Final

from passenger.cli.checks import Finding, good
from passenger.cli.spawning import spawn_context
from passenger.config.model import InstanceConfig
from passenger.errors import PassengerError
from passenger.posix.users import Identity
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.spec import work_out

TIMEOUT: Final = 10.0
ENVIRON: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def app_finding(name: str, config: InstanceConfig) -> Finding:
    """How an application would be started now: as whom, with which interpreter."""
    what = f"app {name}"
    try:
        spec = work_out(name, config.apps[name], spawn_context(config))
    except SpawnFailure as error:
        return Finding("fail", what, str(error), f"passenger env --app {name} tells more")
    except PassengerError as error:
        return Finding("fail", what, error.message, error.hint)
    who = f"as {spec.identity.account.name}"
    if not spec.interpreter_key:
        return good(what, f"{who}: {config.apps[name].app_start_command or spec.program[0]}")
    program = spec.program[0]
    try:
        version = _version(program, spec.identity)
    except (OSError, subprocess.SubprocessError) as error:
        todo = f"install it, or name another with `{spec.interpreter_key}`"
        return Finding("fail", what, f"{program} cannot be run {who}: {error}", todo)
    return good(what, f"{who}: {program}, {version}")


def _version(program: str, identity: Identity) -> str:
    switch = identity.switched
    answer = subprocess.run(
        [program, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
        cwd="/",
        env=ENVIRON,
        user=identity.uid if switch else None,
        group=identity.gid if switch else None,
        extra_groups=list(identity.groups) if switch else None,
        text=True,
        errors="replace",
    )
    return (answer.stdout or answer.stderr).strip().partition("\n")[0] or "which does not say its version"
