"""The watchdog as a service: sockets that were handed over, pings while all is well, a hung core, applications that start."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from passenger.watchdog import vitals
from tests.support.activation import get, handing_over, listener
from tests.support.watchdog import DEADLINE, make_plan, registry, running


@contextmanager
def service_manager(folder: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        manager.settimeout(DEADLINE)
        yield manager


def wait_for(manager: socket.socket, words: str) -> list[str]:
    """The messages up to one with these words."""
    heard = [manager.recv(4096).decode()]
    while words not in heard[-1]:
        heard.append(manager.recv(4096).decode())
    return heard


def test_a_socket_that_was_handed_over_loses_no_connection_between_two_lives() -> None:
    """Who connects while nobody serves waits in the service manager's socket, and the next life answers."""
    with registry() as folder, listener() as handed:
        port = handed.getsockname()[1]
        fd = handed.fileno()
        plan = make_plan(folder, ports=[port])
        with running(plan, prefix=handing_over([fd]), fds=(fd,)) as watchdog:
            assert watchdog.wait_ready() == {"ready": True}
            assert get(port) == b"first"
            environ = Path(f"/proc/{watchdog.pid_of('core')}/environ").read_bytes()
            assert b"LISTEN_" not in environ
            assert not _has_open(watchdog.pid_of("core"), handed)
            watchdog.signal(signal.SIGTERM)
            assert watchdog.wait_exit() == 0
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as early:
            early.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with running(plan, prefix=handing_over([fd]), fds=(fd,)) as watchdog:
                assert early.makefile("rb").read().endswith(b"first")
                assert watchdog.wait_ready() == {"ready": True}


def _has_open(pid: int, one: socket.socket) -> bool:
    inode = os.fstat(one.fileno()).st_ino
    return any(link.stat().st_ino == inode for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists())


def test_what_nobody_serves_is_named() -> None:
    """A port that is in no `nginx.listen`, a socket for both families, and something that is no socket."""
    with ExitStack() as stack:
        folder = stack.enter_context(registry())
        stranger = stack.enter_context(listener())
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        stack.callback(os.close, writer)
        fds = (stranger.fileno(), reader)
        watchdog = stack.enter_context(running(make_plan(folder), prefix=handing_over(fds), fds=fds))
        watchdog.wait_line(rf"warn .*listens on 127.0.0.1:{stranger.getsockname()[1]}, and nobody serves it")
        watchdog.wait_line("warn .*descriptor 4 of the service manager is not used")
        assert watchdog.wait_ready() == {"ready": True}


def test_ready_waits_for_the_applications() -> None:
    """A core that serves, whose applications still start: the terminal hears "ready", the service manager does not."""
    with registry() as folder, service_manager(folder) as manager:
        plan = make_plan(folder, mode="unstarted")
        with running(plan, environ={"NOTIFY_SOCKET": f"{folder}/notify"}) as watchdog:
            assert watchdog.wait_ready() == {"ready": True}
            assert "EXTEND_TIMEOUT_USEC=60000000" in wait_for(manager, "STATUS=starting")[-1]
            watchdog.signal(signal.SIGTERM)
            heard = wait_for(manager, "STOPPING=1")
            assert not any("READY=1" in message for message in heard)
            assert watchdog.wait_exit() == 0


def test_pings_come_while_nginx_accepts_and_stop_when_it_does_not() -> None:
    with registry() as folder, service_manager(folder) as manager, listener() as handed:
        fd, port = handed.fileno(), handed.getsockname()[1]
        environ = {"NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": "900000"}
        plan = make_plan(folder, ports=[port])
        with running(plan, prefix=handing_over([fd]), environ=environ, fds=(fd,)) as watchdog:
            wait_for(manager, "READY=1")
            wait_for(manager, "WATCHDOG=1")
            workers = _children(watchdog.pid_of("nginx"))
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            try:
                watchdog.wait_line(
                    "nginx has not accepted a connection for .*: the service manager gets no sign of life"
                )
                heard = wait_for(manager, "STATUS=nginx has not accepted")
            finally:
                for pid in workers:
                    os.kill(pid, signal.SIGCONT)
            assert heard
            wait_for(manager, "WATCHDOG=1")


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_core_that_does_not_turn_its_loop_is_replaced() -> None:
    """C2: stopped by a signal, it gives no sign of life; the next one serves on the same sockets."""
    with registry() as folder, running(make_plan(folder, mode="good")) as watchdog:
        assert watchdog.wait_ready() == {"ready": True}
        before = watchdog.pid_of("core")
        os.kill(before, signal.SIGSTOP)
        watchdog.wait_line(r"the core's event loop has not answered for 1[0-9] s")
        watchdog.wait_line(r"core gave no sign of life for [12][0-9] s; it is started again at once")
        watchdog.wait_line("core is back")
        assert watchdog.pid_of("core") != before
    assert vitals.HUNG < DEADLINE
