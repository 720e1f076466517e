"""Hooks of a container: the programs in /docker-entrypoint.d, run in order before anything else.

Rules.
1. Order is by name, numbers counting as numbers (`2-` before `10-`). Names that begin with a dot are passed over.
2. `NAME.sh` is run; `NAME.envsh` is read by a shell, and what it exports is in the environment of all that follows.
3. It fails closed: a hook that exits with another status than 0, takes too long, is not executable, or is nothing that
   we know, ends the boot. Nothing has been started then.
4. A signal that means stop goes to the hook, and ends the boot: as PID 1 it would be ignored otherwise.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from passenger.errors import HostError
from passenger.lazy_dataclass import dataclass
from passenger.watchdog.child import STOPPING

TIMEOUT_VARIABLE: Final = "PASSENGER_HOOK_TIMEOUT"
TIMEOUT: Final = 60.0

_READ: Final = '. "$0" && exec env -0 >&3'


@dataclass(frozen=True, slots=True)
class Hook:
    """One file of the folder."""

    path: str
    changes_environment: bool


class StoppedBootError(HostError):
    """Somebody asked for a stop before anything ran."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} while a hook ran")
        self.exit_status = 128 + number


def find_hooks(folder: str) -> list[Hook]:
    """The hooks of a folder, in order. Raises HostError for a file that would not be run."""
    try:
        names = sorted((entry.name for entry in Path(folder).iterdir()), key=_numbers_as_numbers)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HostError(f"the hooks in {folder} cannot be listed: {error.strerror}") from error
    return [_hook(f"{folder}/{name}") for name in names if not name.startswith(".")]


def run_hooks(hooks: list[Hook], environ: Mapping[str, str]) -> dict[str, str]:
    """Run them one after another; returns the environment that they leave. Raises HostError."""
    left = dict(environ)
    if not hooks:
        return left
    timeout = _timeout(environ)
    with _stop_signals() as wakeup:
        for hook in hooks:
            print(f"hook {hook.path}", file=sys.stderr, flush=True)
            left = _run(hook, left, timeout, wakeup)
    return left


def _run(hook: Hook, environ: Mapping[str, str], timeout: float, wakeup: int) -> dict[str, str]:
    """One hook in a session of its own. `wakeup` becomes readable when a signal came."""
    answer_r, answer_w = os.pipe()
    command = ["/bin/sh", "-c", _READ, hook.path] if hook.changes_environment else [hook.path]
    pid = os.fork()
    if pid == 0:
        _become(command, environ, answer_w)
    os.close(answer_w)
    try:
        said = _follow(hook, pid, answer_r, time.monotonic() + timeout, wakeup)
    finally:
        os.close(answer_r)
    if not hook.changes_environment:
        return dict(environ)
    return dict(entry.split("=", 1) for entry in said.decode("utf-8", "surrogateescape").split("\0") if "=" in entry)


def _become(command: list[str], environ: Mapping[str, str], answer: int) -> None:
    """The child's way; never returns."""
    try:
        os.setsid()
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.dup2(answer, 3)
        os.set_inheritable(3, True)  # dup2 of a descriptor onto itself changes nothing
        os.execve(command[0], command, dict(environ))  # noqa: S606 - an argv list
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(126)


def _follow(hook: Hook, pid: int, answer: int, deadline: float, wakeup: int) -> bytes:
    """Read what it says until it ends. Raises HostError, with the hook and what it started ended."""
    child = os.pidfd_open(pid)
    said = bytearray()
    poll = select.poll()
    for fd in (answer, child, wakeup):
        poll.register(fd, select.POLLIN)
    try:
        while True:
            left = deadline - time.monotonic()
            ready = {fd for fd, _ in poll.poll(max(0, left) * 1000)}
            if wakeup in ready:
                number = os.read(wakeup, 1)[0]
                if number in STOPPING:
                    _end(pid)
                    raise StoppedBootError(number)
            if answer in ready:
                part = os.read(answer, 65536)
                said += part
                if not part:
                    poll.unregister(answer)
            elif child in ready:
                _judge(hook, os.waitpid(pid, 0)[1])
                return bytes(said)
            elif left <= 0:
                _end(pid)
                raise HostError(
                    f"the hook {hook.path} did not end in time; it was killed",
                    hint=f"make it faster, or set {TIMEOUT_VARIABLE} (seconds)",
                )
    finally:
        os.close(child)


def _end(pid: int) -> None:
    os.killpg(pid, signal.SIGKILL)  # our own child, not reaped yet: the number is still its own
    os.waitpid(pid, 0)


def _judge(hook: Hook, status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    if code:
        how = f"exited with status {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
        raise HostError(
            f"the hook {hook.path} {how}; nothing was started",
            hint="its own output is above; correct the hook, or take it out of the folder",
        )


def _hook(path: str) -> Hook:
    known = path.endswith((".sh", ".envsh"))
    if not known or not Path(path).is_file():
        raise HostError(
            f"{path} is no hook: `.sh` files are run and `.envsh` files change the environment",
            hint="rename it, take it away, or let its name begin with a dot",
        )
    if not os.access(path, os.X_OK):
        raise HostError(
            f"the hook {path} is not executable",
            hint=f"chmod +x {path} (a ConfigMap or config of an orchestrator: mode 0755)",
        )
    return Hook(path, path.endswith(".envsh"))


def _numbers_as_numbers(name: str) -> list[tuple[int, int | str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _timeout(environ: Mapping[str, str]) -> float:
    text = environ.get(TIMEOUT_VARIABLE, "")
    if not text:
        return TIMEOUT
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise HostError(f"{TIMEOUT_VARIABLE} is {text!r}", hint="it is a number of seconds, such as 120")
    return float(text)


@contextmanager
def _stop_signals() -> Iterator[int]:
    """A descriptor on which the numbers of arriving signals can be read."""
    wakeup_r, wakeup_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, lambda *_: None) for number in STOPPING}
    old = signal.set_wakeup_fd(wakeup_w)
    try:
        yield wakeup_r
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wakeup_r)
        os.close(wakeup_w)
