"""The loader for programs that listen by themselves: who is served, who is not, and how they end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import generic_loader
import pytest
from passenger_runner import ports

from tests.support.httploader import HttpLoader, http_loader, members

GENERIC = (sys.executable, "-I", "-S", "generic_loader.py")
PYTHON = sys.executable

SERVER = """
import os, signal, socket, socketserver, sys
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            print("begun", flush=True)
            signal.sigwait({signal.SIGUSR2})
        body = ("%s %s %d" % (self.path, os.environ.get("COLOUR"), os.getpid())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
    def address_string(self):
        return ""

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
where = sys.argv[1]
if where == "socket":
    server = socketserver.UnixStreamServer(os.environ["SOCKET"], Handler)
else:
    socketserver.TCPServer.allow_reuse_address = True
    server = socketserver.TCPServer((os.environ["HOST"] if where == "port" else where, int(os.environ["PORT"])), Handler)
def stop(number, frame):
    if "stubborn" not in sys.argv:
        sys.exit(int(os.environ.get("STATUS", "0")))
signal.signal(signal.SIGTERM, stop)
server.serve_forever()
"""


@contextlib.contextmanager
def generic(command: str, **env: str) -> Iterator[HttpLoader]:
    with http_loader(GENERIC, {"server.py": SERVER}, env=env, app_start_command=command) as made:
        yield made


def ended_session(made: HttpLoader) -> None:
    """Nothing of it lives any more."""
    assert members(made.process.pid) == []


@pytest.mark.parametrize(
    "command",
    [
        f"{PYTHON} server.py port",
        f"exec {PYTHON} server.py port",
        f"COLOUR=blue {PYTHON} server.py port",
        f"cd . && {PYTHON} server.py port",
        f"{PYTHON} server.py port & wait",
        f'{PYTHON} -c \'import os; os.execv("{PYTHON}", ["{PYTHON}", "server.py", "port"])\'',
        f"for once in 1; do {PYTHON} server.py port; done",
    ],
)
def test_a_command_that_uses_the_port(command: str) -> None:
    """However the shell comes in between: announced, answering, and wholly gone after the end of stdin."""
    with generic(command, COLOUR="blue") as made:
        assert made.handshake == b"!> I have control 1.0\n"
        assert made.address.startswith("tcp://127.0.0.1:")
        assert made.http().fetch("/x").startswith(b"/x blue ")
        made.end_of_stdin()
        assert made.status() == 0
        ended_session(made)


def test_a_command_that_uses_the_socket() -> None:
    """Its file is private and goes with the program."""
    with generic(f"{PYTHON} server.py socket") as made:
        path = Path(made.address.removeprefix("unix:"))
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.name) <= 32
        assert made.http().fetch("/").startswith(b"/ None ")
        made.terminate()
        assert made.status() == 0
        assert not path.exists()


def test_a_simple_command_replaces_the_shell() -> None:
    """One process below the loader, so that signals and status are the program's own."""
    with generic(f"{PYTHON} server.py port $COLOUR", COLOUR="a-b") as made:
        pid = int(made.http().fetch().split()[-1])
        assert sorted(members(made.process.pid)) == sorted([made.process.pid, pid])


@pytest.mark.parametrize("how", ["stdin", "term"])
def test_a_request_in_progress_is_finished(how: str) -> None:
    """The loader waits as long as the program does."""
    with generic(f"{PYTHON} server.py socket stubborn & wait") as made:
        conn = made.http()
        pid = int(conn.fetch().split()[-1])
        made.end_of_stdin() if how == "stdin" else made.terminate()
        conn.request("GET", "/x")
        assert conn.getresponse().read().startswith(b"/x")
        conn.close()
        assert made.process.poll() is None
        os.kill(pid, signal.SIGKILL)
        assert made.status() == 0


@pytest.mark.parametrize(
    ("number", "env", "status"),
    [
        (signal.SIGTERM, {"STATUS": "7"}, 7),
        (signal.SIGTERM, {}, 0),
        (signal.SIGKILL, {}, 137),
        (signal.SIGSEGV, {}, 139),
    ],
)
def test_the_end_of_the_program_is_the_end_of_the_loader(number: int, env: dict[str, str], status: int) -> None:
    """With its status, or 128 and the number of its signal."""
    with generic(f"{PYTHON} server.py port", **env) as made:
        os.kill(int(made.http().fetch().split()[-1]), number)
        assert made.status() == status
        ended_session(made)


def test_its_own_status_after_a_stop_counts() -> None:
    with generic(f"{PYTHON} server.py port", STATUS="3") as made:
        made.http().fetch()
        made.end_of_stdin()
        assert made.status() == 3


def test_what_the_program_leaves_behind_is_ended() -> None:
    """Children in its group, in another group and in another session, when it dies and when it is stopped."""
    left = "sleep 9999 & setsid sleep 9999 & "
    for stop in (False, True):
        with generic(f"{left}exec {PYTHON} server.py port") as made:
            pid = int(made.http().fetch().split()[-1])
            watches = [os.pidfd_open(child) for child in children_of(pid)]
            assert len(watches) == 2
            made.end_of_stdin() if stop else os.kill(pid, signal.SIGKILL)
            assert made.status() == (0 if stop else 137)
            for watch in watches:
                with pytest.raises(ProcessLookupError):
                    signal.pidfd_send_signal(watch, 0)
                os.close(watch)


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("exit 4", "the command ended with status 4 before it listened"),
        ("echo out of luck >&2; false", "the command ended with status 1 before it listened"),
        ("true", "the command ended with status 0 before it listened; it must stay in the foreground"),
        ("kill -9 $$", "the command was killed by signal 9 before it listened"),
        ("no-such-program --port $PORT", "the command ended with status 127 before it listened"),
        ("sleep 9999", "the command listened neither on $PORT ("),
        (
            f"PORT=0 exec {PYTHON} -c 'import socket; s = socket.create_server((\"127.0.0.1\", 0)); s.accept()'",
            ": let it take the port from $PORT",
        ),
        (f"setsid {PYTHON} server.py port & wait", "which is not in the session of the command"),
        (f"setsid {PYTHON} server.py socket & wait", "which is not in the session of the command"),
        (f"{PYTHON} server.py port & setsid true; exit 0", "the command ended with status 0 before it listened"),
        ("", "app_start_command is not set"),
    ],
)
def test_what_cannot_be_served_is_explained(command: str, message: str) -> None:
    """Its own words are on stderr; nothing of it is left."""
    files = {"server.py": SERVER}
    with http_loader(GENERIC, files, app_start_command=command, start_timeout="3000") as made:
        assert message in made.explanation()
        assert made.status() == 1
        ended_session(made)
        assert ("out of luck" in made.errors()) == ("luck" in command)
        folder = Path(made.process.args[-1]).parent if isinstance(made.process.args, list) else Path()
        assert not list(folder.glob("generic.*"))


def test_a_listener_on_all_addresses_is_served_and_warned_of() -> None:
    with generic(f"{PYTHON} server.py 0.0.0.0") as made:
        assert made.http().fetch().startswith(b"/ ")
        assert "let it use $HOST (127.0.0.1) or $SOCKET" in made.errors()


class Thief:
    """Listens on the port that somebody names, and tells when it does: whoever names it loses it."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "thief")
        self.ports: list[int] = []
        self._listener = socket.create_server(self.path, family=socket.AF_UNIX)
        self._stolen: list[socket.socket] = []
        self._thread = threading.Thread(target=self._steal)
        self._thread.start()

    def _steal(self) -> None:
        while True:
            victim, _ = self._listener.accept()
            with victim:
                said = victim.recv(100)
                if said == b"enough":
                    return
                self._stolen.append(socket.create_server(("127.0.0.1", int(said))))
                self.ports.append(int(said))
                victim.sendall(b"x")

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            sock.sendall(b"enough")
        self._thread.join()
        for sock in (*self._stolen, self._listener):
            sock.close()


@pytest.fixture(name="thief")
def _thief() -> Iterator[Thief]:
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    made = Thief(folder)
    yield made
    made.close()
    shutil.rmtree(folder)


ROBBED = """
import os, socket, sys
runs = len(os.listdir(".")) - 2
open("run%d" % runs, "x").close()
if runs < int(sys.argv[1]):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.environ["THIEF"])
        sock.sendall(os.environ["PORT"].encode())
        sock.recv(1)
    if len(sys.argv) > 2:
        sys.stdin = open(os.environ["THIEF"] + ".never", "r")  # waits for ever
os.execv(sys.executable, [sys.executable, "server.py", "port"])
"""


@pytest.mark.parametrize("waits", ["", "waits"])
def test_a_stranger_on_the_port_is_not_announced(thief: Thief, waits: str) -> None:
    """It took the port before the command could; the command is started again with another one, dead or alive."""
    os.mkfifo(f"{thief.path}.never")
    files = {"server.py": SERVER, "start.py": ROBBED}
    command = f"{PYTHON} start.py 1 {waits}"
    with http_loader(GENERIC, files, env={"THIEF": thief.path}, app_start_command=command) as made:
        assert made.http().fetch().startswith(b"/ ")
        assert int(made.address.rpartition(":")[2]) not in thief.ports
        assert len(thief.ports) == 1
        assert ("Address already in use" in made.errors()) == (not waits)


def test_a_thief_who_does_not_stop_is_named(thief: Thief) -> None:
    """Three ports, then an explanation."""
    files = {"server.py": SERVER, "start.py": ROBBED}
    with http_loader(GENERIC, files, env={"THIEF": thief.path}, app_start_command=f"exec {PYTHON} start.py 99") as made:
        text = made.explanation()
        assert "somebody else took the port 3 times" in text
        assert all(str(port) in text for port in thief.ports)
        assert made.status() == 1


def test_a_spawner_that_gives_up_ends_the_command() -> None:
    """Before it is ready, by the end of stdin."""
    source = "import os, sys, threading; print('!> ', flush=True); threading.Event().wait()"
    with http_loader(GENERIC, {"wait.py": source}, app_start_command=f"{PYTHON} wait.py") as made:
        made.end_of_stdin()
        assert made.rest() == ""
        assert made.status() == 1
        ended_session(made)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "127.1.2.3"])
def test_a_port_that_is_taken_on_any_address_is_not_chosen(address: str) -> None:
    """The program may listen on all of them."""
    with socket.create_server((address, 0)) as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
    chosen = ports.free_port(2)
    assert chosen + 2 < ports.first_ephemeral()
    assert all(ports.is_free(number) for number in (chosen, chosen + 1, chosen + 2))


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("./server --port $PORT", True),
        ("sh -c x", True),
        ("/usr/bin/env python3 'a b' > log 2>/dev/null", True),
        ("COLOUR=blue ./server", False),
        ("cd /tmp && ./server", False),
        ("./server; true", False),
        ("./server & wait", False),
        ("(./server)", False),
        ("no-such-program x", False),
        ("$PROGRAM x", False),
        ("   ", False),
    ],
)
def test_what_may_replace_the_shell(text: str, simple: bool) -> None:  # noqa: FBT001
    """One program and its arguments; in doubt the shell stays."""
    assert generic_loader.is_simple(text) is simple


def test_the_program_has_its_own_descriptors_only() -> None:
    """Fault matrix B7: 0, 1 and 2, an empty stdin; `ls` has opened the fourth."""
    with generic(f"ls -l /proc/self/fd | grep -c -- '->'; cat; exec {PYTHON} server.py port") as made:
        assert made.said[0] == "4\n"
        assert made.http().fetch().startswith(b"/ ")
