"""The listening socket of an application process, the workers behind it, and the end of it all.

Rules.
1. One thread: the application runs in the main thread. Between connections it waits for the next one and for stdin;
   between the requests of a connection SIGIO tells of stdin, for waiting for two descriptors would cost each request
   a tenth of its time. (A signal that comes at the very moment in which the wait begins is seen when the wait ends,
   which is soon: whoever closes stdin closes its connections.)
   More threads: each accepts and serves on its own, the main thread watches stdin.
2. End of stdin, SIGTERM or an exception that asks for the end of the process: nothing new is taken, requests in
   progress are finished, idle connections are closed, the process ends.
3. Stopping uses no lock: it may happen in a signal handler at any point.
4. A request that has run too long is interrupted: by an exception from the handler of SIGIO, or in its thread.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import traceback

from .body import FileWrapper
from .control import Control, announced, shut
from .interruption import INTERRUPTED, RequestTimeout, have_stacks_shown, interrupt_thread, show
from .response import Vocabulary
from .worker import Worker

TYPE_CHECKING = False  # what type checkers take for true; importing `typing` would cost every start some milliseconds
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    Environ = dict[str, Any]


class Server:
    """The listening socket and the workers behind it."""

    def __init__(self, *, app: Any, socket_dir: str, password: str, threads: int) -> None:
        self.app = app
        self.password = password.encode()
        self.threads = threads
        self.stopping = False
        self.exit_status = 0
        self._control = Control(lambda: self.stop(0))
        self.vocabulary = Vocabulary()
        self.environ: Environ = base_environ(threads)
        self.path = os.path.join(socket_dir, "wsgi." + os.urandom(12).hex())
        self.listener = listen(self.path)
        self._workers = [Worker(self) for _ in range(threads)]
        self._wake: tuple[int, int] | None = os.pipe() if threads > 1 else None
        signal.signal(signal.SIGTERM, lambda _number, _frame: self.stop(0))  # before anybody knows of this process

    def announcement(self, offered: str | None) -> str:
        """The Ready block. `offered`: the spawner's word about interrupting requests."""
        return announced("!> socket: main;unix:%s;session;%d\n" % (self.path, self.threads), offered)

    def run(self) -> int:
        """Serve until told to stop; returns the exit status."""
        have_stacks_shown()
        if self.threads == 1:
            self._control.have_signalled(self._stdin_stirred)
            self._control.look()  # it may have ended before
            self._workers[0].run()  # in the main thread: many libraries want to be there
            self._control.be_deaf()
        else:
            self._run_threads()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.listener.close()
        try:
            os.unlink(self.path)
        except OSError:
            return self.exit_status  # the core was faster, or the folder is gone
        return self.exit_status

    def _run_threads(self) -> None:
        assert self._wake is not None
        threads = [threading.Thread(target=self._run_worker, args=(w,), daemon=True) for w in self._workers]
        for number, thread in enumerate(threads):
            thread.name = "request-%d" % (number + 1)
            thread.start()
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._wake[0], select.POLLIN)
        while not self.stopping:
            poll.poll()
            for name in self._control.look():
                for worker in self._workers:
                    if worker.is_serving(name):
                        interrupt_thread(worker, name)
        for thread in threads:
            thread.join()

    def _run_worker(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException:
            traceback.print_exc()
            self.stop(1)

    def stop(self, status: int) -> None:
        """Take no further connection or request; what is in progress is finished. Any thread or signal handler."""
        self.exit_status = self.exit_status or status
        self.stopping = True
        shut(self.listener, socket.SHUT_RDWR)
        for worker in self._workers:
            conn = worker.conn
            if conn is not None and not worker.busy:
                shut(conn, socket.SHUT_RD)
        if self._wake is not None:
            os.write(self._wake[1], b"x")

    def wait_for_connection(self) -> None:
        """Return when there may be one, or when it is time to stop."""
        if self.threads > 1:
            return
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self.listener.fileno(), select.POLLIN)
        while not self.stopping and all(fd == 0 for fd, _ in poll.poll()):
            self._control.look()  # nothing runs that could be interrupted

    def _stdin_stirred(self, _number: int, frame: FrameType | None) -> None:
        """Handler of SIGIO, in the main thread, which is the worker's: what raises here raises in the request."""
        (worker,) = self._workers
        names = self._control.look()
        if any(worker.is_serving(name) for name in names):
            show(frame, INTERRUPTED)
            raise RequestTimeout


def listen(path: str) -> socket.socket:
    """A listening socket that only its owner may connect to, from its first moment on."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(sock.fileno(), 0o600)  # the mode that bind gives to the file
    sock.bind(path)
    sock.listen(4096)
    return sock


def base_environ(threads: int) -> Environ:
    """What every request's environ starts with."""
    return {
        "SCRIPT_NAME": "",
        "PATH_INFO": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": threads > 1,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }
