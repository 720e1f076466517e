"""The preloader's side of the preloader protocol: asked over a socket, it forks.

    spawner     spawn / key: value (any number) / empty line
    preloader   OK / pid          or: Error / !> / text until the end
                and the connection becomes stdin and stdout of the forked process

A descriptor that comes with the command becomes the stderr of the process; without one it is the preloader's.

Rules.
1. One connection after the other; one that does not say its command within COMMAND_SECONDS is closed.
2. The forked process says OK itself, so that nothing it says can come before it.
3. A forked process has nothing of the preloader's but what the application opened: no socket, no pipe, no handler.
4. Dead processes are reaped a moment after their death, so that the spawner can still see how they ended.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import sys
import threading

from .control import read_stdin
from .server import listen

TYPE_CHECKING = False  # see passenger_loader.body
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

COMMAND_SECONDS = 10.0
COMMAND_LIMIT = 65536
REAP_DELAY_MS = 1000


class Forker:
    """Listens, forks, reaps."""

    def __init__(self, socket_dir: str) -> None:
        self.path = os.path.join(socket_dir, "preloader." + os.urandom(10).hex())
        self._listener = listen(self.path)
        self._listener.settimeout(COMMAND_SECONDS)
        self._children: set[int] = set()
        self._stopping = False
        self._wake = os.pipe()
        for fd in self._wake:
            os.set_blocking(fd, False)
        self._handlers: dict[int, Any] = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._stop),
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, lambda _number, _frame: None),
        }
        self._wakeup_before = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)

    def run(self) -> bool:
        """Answer until told to stop. Returns False then, and True in each forked process."""
        poll = select.poll()
        for fd in (0, self._wake[0], self._listener.fileno()):
            poll.register(fd, select.POLLIN)
        while not self._stopping:
            ready = {fd for fd, _ in poll.poll(REAP_DELAY_MS if self._somebody_died() else None)}
            if not ready:
                self._reap()
            if self._wake[0] in ready:
                os.read(self._wake[0], 4096)
            if 0 in ready and not read_stdin():
                self._stopping = True
            elif self._listener.fileno() in ready and self._answer():
                return True
        self._listener.close()
        try:
            os.unlink(self.path)
        except OSError:
            return False  # the core was faster, or the folder is gone
        return False

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _answer(self) -> bool:
        """Take one connection. Returns True in a forked process."""
        try:
            conn, _ = self._listener.accept()
        except OSError:
            return False
        with conn:
            try:
                stderr = read_command(conn)
            except (OSError, ValueError) as error:
                complain("a connection was closed: %s" % error)
                return False
            if stderr is None:
                return False
            try:
                return self._fork(conn, stderr)
            finally:
                if stderr >= 0:
                    os.close(stderr)

    def _fork(self, conn: socket.socket, stderr: int) -> bool:
        complain_of_threads()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:
            conn.sendall(("Error\n!> \nthe preloader cannot fork: %s\n" % error).encode())
            return False
        if pid:
            self._children.add(pid)
            return False
        self._become_process(conn, stderr)
        return True

    def _become_process(self, conn: socket.socket, stderr: int) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._listener.close()
        for fd in self._wake:
            os.close(fd)
        conn.settimeout(None)
        os.dup2(conn.fileno(), 0)
        os.dup2(conn.fileno(), 1)
        if stderr >= 0:
            os.dup2(stderr, 2)
        try:
            os.write(1, b"OK\n%d\n" % os.getpid())
        except OSError:
            os._exit(1)  # the spawner gave up

    def _somebody_died(self) -> bool:
        """Whether a child waits to be reaped, without reaping it."""
        return any(wait_status(pid, os.WNOWAIT) is not None for pid in self._children)

    def _reap(self) -> None:
        for pid in list(self._children):
            status = wait_status(pid, 0)
            if status is None:
                continue
            self._children.discard(pid)
            if status:
                complain("process %d %s" % (pid, status))


def wait_status(pid: int, flags: int) -> str | None:
    """How a child ended ("" = well), or None while it lives. Only our own: the application may have others."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | flags)
    except ChildProcessError:
        return ""  # the application reaped it
    if found is None:
        return None
    if found.si_code == os.CLD_EXITED:
        return "exited with status %d" % found.si_status if found.si_status else ""
    return "was killed by signal %d" % found.si_status


def read_command(conn: socket.socket) -> int | None:
    """Read one command. Returns the descriptor that came with it (-1 = none), or None when nothing was asked.

    Raises ValueError for words that are no command.
    """
    conn.settimeout(COMMAND_SECONDS)
    words, descriptors = b"", array.array("i")
    while not words.endswith(b"\n\n") and len(words) <= COMMAND_LIMIT:
        piece, extra, _, _ = conn.recvmsg(COMMAND_LIMIT, socket.CMSG_LEN(4))
        for level, kind, data in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[:4])
        words += piece
        if not piece:
            break
    if words.startswith(b"spawn\n") and words.endswith(b"\n\n"):
        for fd in descriptors[1:]:
            os.close(fd)
        return descriptors[0] if descriptors else -1
    for fd in descriptors:
        os.close(fd)
    if not words:
        return None
    raise ValueError("%r is no command" % words[:80].decode("ascii", "replace"))


def complain_of_threads() -> None:
    """Threads do not survive a fork, and locks that they hold stay locked."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if names:
        complain("threads run in the preloader and will be missing in its processes: " + ", ".join(names))
        complain('start them in a function that runs after the fork, or set spawn_method = "direct"')


def complain(message: str) -> None:
    os.write(2, b"[preloader] " + message.encode("utf-8", "replace") + b"\n")
