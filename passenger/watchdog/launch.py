"""fork and exec, spelled out: `subprocess` costs half a megabyte, and this program has one thread and few wishes.

Rules.
1. Between fork and exec the child only makes system calls prepared before; it never returns into the loop.
2. Order: session, umask, groups, gid, uid (irreversible), death signal, descriptors, exec.
3. What fails in the child is told to the parent as an exception, over a pipe that a successful exec closes.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn

from passenger.errors import HostError

KEEP: Final = -1
"""For a standard stream: the child gets ours."""

NULL: Final = -2
"""For a standard stream: /dev/null."""


class Identity(NamedTuple):
    """The user and group of a child; it gets no supplementary groups."""

    uid: int
    gid: int


def launch(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    umask: int,
    fds: Sequence[int] = (),
    identity: Identity | None = None,
    before_exec: Callable[[], None] | None = None,
    streams: tuple[int, int, int] = (NULL, KEEP, KEEP),
) -> int:
    """Start a program in a session of its own, with exactly the descriptors 0 to 2 and `fds`, which keep their
    numbers (all above 2). Returns its pid. Raises HostError."""
    program = find_program(argv[0], env)
    report_r, report_w = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        os.close(report_r)
        os.close(report_w)
        raise HostError(f"cannot start {argv[0]}: {error.strerror}") from error
    if pid == 0:
        _become(program, argv, env, umask, fds, identity, before_exec, streams, report_w)
    os.close(report_w)
    with os.fdopen(report_r, "rb") as report:
        problem = report.read().decode("utf-8", "replace")
    if problem:
        os.waitpid(pid, 0)
        raise HostError(f"cannot start {argv[0]}: {problem}")
    return pid


def find_program(name: str, env: Mapping[str, str]) -> str:
    """The path of a program, looked up in PATH when it has no slash. Raises HostError."""
    if "/" in name:
        return name
    for folder in env.get("PATH", os.defpath).split(os.pathsep):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise HostError(f"cannot start {name}: there is no such program in PATH")


def _become(
    program: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    umask: int,
    fds: Sequence[int],
    identity: Identity | None,
    before_exec: Callable[[], None] | None,
    streams: tuple[int, int, int],
    report: int,
) -> NoReturn:
    """The child's way; ends in the new program or in an exit."""
    try:
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the watchdog's own start blocks some
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the interpreter ignores it; programs expect the default
        os.setsid()
        os.umask(umask)
        if identity is not None:
            os.setgroups([])
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
        if before_exec is not None:
            before_exec()
        _arrange_streams(streams)
        for fd in fds:
            os.set_inheritable(fd, True)
        os.execve(program, list(argv), dict(env))  # noqa: S606 - an argv list is the point
    except BaseException as error:  # whatever it is, this process must not go on as a second watchdog
        with contextlib.suppress(OSError):
            os.write(report, str(error).encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _arrange_streams(streams: tuple[int, int, int]) -> None:
    """Sources are above 2 (`open_standard_descriptors`), so that no dup2 overwrites one that is still needed."""
    null = os.open(os.devnull, os.O_RDWR) if NULL in streams else -1
    for number, source in enumerate(streams):
        if source != KEEP:
            os.dup2(null if source == NULL else source, number, inheritable=True)
