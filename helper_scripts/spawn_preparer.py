"""SpawnPreparer: the last step before an application's loader. Runs as the application's user, stays for milliseconds.

    python -I -S spawn_preparer.py PARAMETERS REPORT STDIN STDOUT STDERR

The arguments are numbers of inherited descriptors. PARAMETERS is anonymous memory with one JSON object; on REPORT one
JSON object per line is written: {"step": "started"}, {"step": "limits"}, {"step": "prepared"},
{"error": {"category", "message", "hint"}}. After "limits" it waits for one byte on STDIN: somebody who may do more than
this user sets limits meanwhile.
A login shell may have come before: its own stdin, stdout and stderr are not the application's, so whatever its
profile prints, reads or closes there does no harm.

Rules.
1. Standard library only, few imports: this is part of every spawn.
2. Nothing runs as another user than the one that was asked for; a switch that could be undone is an error.
3. The program gets descriptors 0, 1 and 2, default signal handling and exactly the environment that was worked out:
   what came in, then what Passenger and the configuration set (they win over the profile).
"""

from __future__ import annotations

import json
import os
import signal
import sys

TYPE_CHECKING = False  # importing `typing` for this costs as much as all the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


class Refusal(Exception):  # noqa: N818 - it is not always an error of ours
    """The program cannot be started; the arguments are category, message and hint."""


def main(argv: list[str]) -> NoReturn:
    parameters_fd, report_fd, *standard = map(int, argv[1:6])
    os.set_inheritable(report_fd, False)
    report(report_fd, {"step": "started"})
    try:
        parameters = read_parameters(parameters_fd)
        check_identity(parameters["identity"])
        reset_signals()
        limit(parameters["limits"], report_fd, standard[0])
        os.umask(parameters["umask"])
        environ = work_out_environment(parameters)
        enter(parameters["directory"])
        for target, fd in enumerate(standard):
            os.dup2(fd, target)
        close_others(report_fd)
        if parameters["program"] is None:
            dump(environ)
        report(report_fd, {"step": "prepared"})
        execute(parameters["program"], environ, parameters["interpreter_key"])
    except Refusal as refusal:
        category, message, hint = refusal.args
        report(report_fd, {"error": {"category": category, "message": message, "hint": hint}})
    except OSError as error:
        report(report_fd, {"error": {"category": "preparer-failed", "message": str(error), "hint": ""}})
    os._exit(1)


def report(fd: int, message: dict[str, Any]) -> None:
    os.write(fd, json.dumps(message).encode() + b"\n")


def read_parameters(fd: int) -> dict[str, Any]:
    with os.fdopen(fd, "rb") as stream:
        parameters: dict[str, Any] = json.loads(stream.read())
    return parameters


def check_identity(wanted: dict[str, Any]) -> None:
    """Raise Refusal unless every user and group id is the wanted one, for good."""
    uid, gid = wanted["uid"], wanted["gid"]
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3:
        raise Refusal(
            "user-switch-failed", f"user and group are {os.getresuid()} {os.getresgid()}, not {uid} {gid}", ""
        )
    if not wanted["switched"]:
        return
    if sorted(set(os.getgroups()) | {gid}) != sorted(set(wanted["groups"]) | {gid}):
        raise Refusal("user-switch-failed", f"supplementary groups are {os.getgroups()}, not {wanted['groups']}", "")
    for regain in (os.setuid, os.setgid):
        try:
            regain(0)
        except PermissionError:
            continue
        raise Refusal(
            "user-switch-failed", f"the switch to user {uid} could be undone ({regain.__name__}(0) worked)", ""
        )


def reset_signals() -> None:
    """A parent may have left signals ignored or blocked; both would last over exec."""
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # KILL, STOP and the ones of the C library
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def limit(limits: dict[str, Any], report_fd: int, stdin_fd: int) -> None:
    """Set what this user may set; the rest is set by others, who are waited for."""
    if limits["wait"]:
        report(report_fd, {"step": "limits"})
        if not os.read(stdin_fd, 1):
            raise Refusal("preparer-failed", "Passenger went away", "")
    if limits["nice"] is not None:
        set_one("nice", limits["nice"], os.setpriority, os.PRIO_PROCESS, 0, limits["nice"])
    if limits["cpu_affinity"]:
        set_one("cpu_affinity", limits["cpu_affinity"], os.sched_setaffinity, 0, limits["cpu_affinity"])
    if limits["oom_score_adj"] is not None:
        set_one("oom_score_adj", limits["oom_score_adj"], write_oom_score, limits["oom_score_adj"])
    if limits["rlimits"]:
        import resource  # most applications have none

        for name, value in limits["rlimits"].items():
            set_one(name, value, resource.setrlimit, getattr(resource, name), (value, value))


def set_one(name: str, value: Any, act: Callable[..., None], *arguments: Any) -> None:
    try:
        act(*arguments)
    except (OSError, ValueError) as error:
        raise Refusal(
            "limit-refused",
            f"user {user_name()} cannot set {name} to {value}: {error}",
            "a login profile may have lowered the limits (`load_shell_envvars`); else choose another value",
        ) from None


def write_oom_score(score: int) -> None:
    with open("/proc/self/oom_score_adj", "w") as stream:
        stream.write(str(score))


def work_out_environment(parameters: dict[str, Any]) -> dict[str, str]:
    environ = dict(os.environ)
    for name in parameters["unset"]:
        environ.pop(name, None)
    environ.update(parameters["environ"])
    environ["PWD"] = parameters["directory"]
    return environ


def enter(directory: str) -> None:
    """Change to the application's folder; a refusal names the folder on the way that is closed."""
    try:
        os.chdir(directory)
    except FileNotFoundError:
        raise Refusal("app-root-missing", f"{directory} does not exist", "correct `app_root`") from None
    except NotADirectoryError:
        raise Refusal("app-root-missing", f"{directory} is not a folder", "correct `app_root`") from None
    except PermissionError:
        closed = first_closed(directory)
        raise Refusal(
            "app-root-closed",
            f"user {user_name()} may not enter {closed}",
            f"give that user the right to enter it: chmod o+x {closed}, or choose another `user`",
        ) from None


def first_closed(path: str) -> str:
    """The first folder of a path that this user may not enter."""
    folder = "/"
    for part in path.split("/")[1:]:
        if not os.access(folder, os.X_OK, effective_ids=True):
            return folder
        folder = os.path.join(folder, part)
    return folder


def user_name() -> str:
    return os.environ.get("USER") or str(os.getuid())


def close_others(keep: int) -> None:
    """Close every descriptor but 0, 1, 2 and `keep`."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        numbers = list(range(3, min(os.sysconf("SC_OPEN_MAX"), 65536)))
    for fd in numbers:
        if fd > 2 and fd != keep:
            try:
                os.close(fd)
            except OSError:
                continue  # the one that listed the others


def dump(environ: dict[str, str]) -> NoReturn:
    """For `passenger env`: say what the environment would be instead of using it."""
    data = json.dumps(environ).encode()
    while data:
        data = data[os.write(1, data) :]
    os._exit(0)


def execute(program: list[str], environ: dict[str, str], key: str) -> NoReturn:
    """`key`: of the configuration, for the interpreter; "" for Passenger's own Python."""
    name = program[0]
    correct = f"correct `{key}`" if key else "install Passenger anew"
    try:
        os.execvpe(name, program, environ)  # noqa: S606 - argv, no shell
    except (FileNotFoundError, PermissionError) as error:
        in_path = "/" not in name
        if in_path or isinstance(error, FileNotFoundError):  # closed folders in PATH are no reason to blame a file
            where = f" in PATH ({environ.get('PATH', '')})" if in_path else ""
            raise Refusal(
                "interpreter-missing",
                f"the interpreter {name} was not found{where}",
                ("make the virtual environment anew, or " if key == "python" else "install it, or ") + correct,
            ) from None
        raise Refusal(
            "interpreter-closed",
            f"user {user_name()} may not execute {name}",
            f"make it and the folders above it accessible ({first_closed(os.path.abspath(name))}), or {correct}",
        ) from None
    except OSError as error:
        raise Refusal(
            "interpreter-broken", f"{name} cannot be executed: {error.strerror}", "it is no program for this machine"
        ) from None


if __name__ == "__main__":
    main(sys.argv)
