"""From a decided spawn to a child process: descriptors made, parameters put into memory, the chain executed.

    [login shell -lc 'exec "$@"' SpawnPreparerShell] python -I -S spawn_preparer.py ... -> loader

Rules.
1. The child inherits five descriptors, all numbered 20 or more so that no shell gets in their way: parameters, report,
   and what will be its stdin, stdout and stderr. The shell itself gets /dev/null and the profile pipe.
2. stdin, stdout and stderr are pipes that belong to the application's user: `/dev/stdout` can be opened again.
3. Secrets travel in anonymous memory, not in the environment of the shell, not in argv.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
from typing import Final

from passenger.lazy_dataclass import dataclass
from passenger.posix import process
from passenger.spawn.failure import SpawnFailure
from passenger.spawn.spec import SpawnSpec

FIRST_DESCRIPTOR: Final = 20
SHELL_SCRIPT: Final = 'exec "$@"'
MARK: Final = "PASSENGER_GUPID"
"""Variable that a process and everything it starts have; loaders set it in what a preloader forked."""
SHELL_NAME: Final = "SpawnPreparerShell"


@dataclass(frozen=True, slots=True)
class Child:
    """A process that has been started, and our ends of its pipes (non-blocking)."""

    popen: subprocess.Popen[bytes]
    stdin: int
    stdout: int
    stderr: int
    report: int
    profile: int

    @property
    def pid(self) -> int:
        return self.popen.pid

    def abandon(self) -> None:
        """Nobody can look after the child: end it, close our ends."""
        process.signal_group(self.pid, signal.SIGKILL)
        self.popen.wait()
        for fd in (self.stdin, self.stdout, self.stderr, self.report, self.profile):
            os.close(fd)

    def disown(self, status: int | None) -> None:
        """Tell `subprocess` that the child was reaped, by whom we know."""
        self.popen.returncode = status if status is not None else 0


def launch(spec: SpawnSpec, *, program: tuple[str, ...] | None, gupid: str = "") -> Child:
    """Start the chain. `program` None makes SpawnPreparer print the environment instead. Raises SpawnFailure.

    `gupid` marks what the process will have started (`posix.runaways`); "" = nothing of it is to be found by it.
    """
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        parameters = _descriptor(theirs, _parameters(spec, program, gupid))
        stdin_read, stdin = _pipe(spec, theirs, ours, child_reads=True)
        stdout, stdout_write = _pipe(spec, theirs, ours)
        stderr, stderr_write = _pipe(spec, theirs, ours)
        report, report_write = _pipe(spec, theirs, ours)
        profile, profile_write = _pipe(spec, theirs, ours)
        inherit = [parameters, report_write, stdin_read, stdout_write, stderr_write]
        popen = _start(spec, inherit, profile_write)
        ours.pop_all()
    return Child(popen=popen, stdin=stdin, stdout=stdout, stderr=stderr, report=report, profile=profile)


def output_pipe(spec: SpawnSpec) -> tuple[int, int]:
    """A pipe (read end, write end): the read end does not block, the write end is the user's to open again."""
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    if spec.identity.switched:
        os.fchown(write, spec.identity.uid, spec.identity.gid)
    return read, write


def _start(spec: SpawnSpec, inherit: list[int], output: int) -> subprocess.Popen[bytes]:
    context = spec.context
    preparer = f"{context.helper_scripts}/spawn_preparer.py"
    argv = [context.python, "-I", "-S", preparer, *map(str, inherit)]
    if spec.shell is not None:
        argv = [spec.shell, "-lc", SHELL_SCRIPT, SHELL_NAME, *argv]
    try:
        return process.start(argv, environ=spec.inherited, identity=spec.identity, inherit=inherit, output=output)
    except (OSError, subprocess.SubprocessError) as error:
        who = spec.identity.account.name
        raise SpawnFailure(
            "exec-failed",
            f"{argv[0]} cannot be started as user {who}: {getattr(error, 'strerror', None) or error}",
            hint=f"user {who} must be able to execute it: check the folders above it",
        ) from error


def _parameters(spec: SpawnSpec, program: tuple[str, ...] | None, gupid: str) -> int:
    identity = spec.identity
    document = {
        "identity": {
            "uid": identity.uid,
            "gid": identity.gid,
            "groups": list(identity.groups),
            "switched": identity.switched,
        },
        "directory": spec.app.app_root,
        "umask": spec.context.umask,
        "limits": spec.limits.own_part(waits=program is not None and spec.limits.needs_help),
        "unset": ["_", "OLDPWD", "SHLVL", "BASH_ENV", "ENV"],
        "environ": {**spec.variables, **({MARK: gupid} if gupid else {})},
        "program": None if program is None else list(program),
        "interpreter_key": spec.interpreter_key,
    }
    fd = os.memfd_create("spawn", os.MFD_CLOEXEC)
    data = json.dumps(document).encode()
    while data:
        data = data[os.write(fd, data) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _pipe(
    spec: SpawnSpec, theirs: contextlib.ExitStack, ours: contextlib.ExitStack, *, child_reads: bool = False
) -> tuple[int, int]:
    """A pipe (read end, write end); the child's end is high and its user's, ours does not block."""
    read, write = os.pipe2(os.O_CLOEXEC)
    mine, other = (write, read) if child_reads else (read, write)
    ours.callback(os.close, mine)
    other = _descriptor(theirs, other)
    os.set_blocking(mine, False)
    if spec.identity.switched:
        os.fchown(other, spec.identity.uid, spec.identity.gid)
    return (other, mine) if child_reads else (mine, other)


def _descriptor(stack: contextlib.ExitStack, fd: int) -> int:
    """The same file under a number that shells do not use; closed with the stack."""
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
    finally:
        os.close(fd)
    stack.callback(os.close, high)
    return high
