"""TCP sockets that loaders announce: only those of the process itself, or of its session, are believed (F14)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from passenger.config.model import App
from tests.support.httploader import SocketHTTP
from tests.support.spawning import Place, place, run, stopped

LOADER = """#!{python}
import os, signal, socket, subprocess, sys
print("!> I have control 1.0", flush=True)
while sys.stdin.readline().strip():
    pass
HELD = []
def listen(family, host, port=0, **options):
    HELD.append(socket.create_server((host, port), family=family, **options))
    return HELD[-1]
{body}
print(f"!> Ready\\n!> socket: main;tcp://{{address}};http_session;0\\n!> ", flush=True)
sys.stdin.read()
"""
SERVE = """
import threading
def serve(listener):
    while True:
        conn = listener.accept()[0]
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nConnection: close\\r\\n\\r\\nhello")
        conn.close()
threading.Thread(target=serve, args=(listener,), daemon=True).start()
address = "%s:%d" % (host, listener.getsockname()[1])
"""
IPV4, IPV6 = "socket.AF_INET", "socket.AF_INET6"
OWN = {
    "its own": f"host = '127.0.0.1'; listener = listen({IPV4}, host)",
    "another address of loopback": f"host = '127.0.0.9'; listener = listen({IPV4}, host)",
    "all addresses": f"host = '127.0.0.1'; listener = listen({IPV4}, '')",
    "both families": f"host = '127.0.0.1'; listener = listen({IPV6}, '::', dualstack_ipv6=True)",
    "IPv6": f"host = '[::1]'; listener = listen({IPV6}, '::1')",
}
CHILD = """
import time
program = "import os, socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=SETSID)
address = "127.0.0.1:%d" % int(child.stdout.readline())
"""


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def app_of(here: Place, body: str) -> App:
    return here.app("blog", python=here.script("loader", LOADER.format(python=here.python, body=body)))


@pytest.mark.parametrize("case", OWN)
def test_its_own_listener_is_taken(here: Place, case: str) -> None:
    """Whatever the family, and also when it listens on more than was announced."""

    async def life() -> bytes:
        process = await here.spawner(app_of(here, OWN[case] + SERVE)).spawn()
        with closing(SocketHTTP(process.sockets[0].address)) as http:
            answer = http.fetch()
        await stopped(process)
        return answer

    assert run(life()).endswith(b"hello")


def test_a_child_may_listen_while_it_stays_in_the_session(here: Place) -> None:
    """A command that starts the server is not the server; who leaves the session cannot be swept, and is refused."""

    async def life() -> None:
        process = await here.spawner(app_of(here, CHILD.replace("SETSID", "False"))).spawn()
        await stopped(process)

    run(life())
    error = here.fails(app_of(here, CHILD.replace("SETSID", "True")))
    assert error.category == "socket-foreign-process"
    assert "session" in error.hint


def test_a_listener_of_somebody_else_is_refused(here: Place) -> None:
    """Ours: requests would go to it, and so would everything that is in them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        error = here.fails(app_of(here, f"address = '127.0.0.1:{port}'"))
    assert error.category == "socket-foreign-process"
    assert f"127.0.0.1:{port} is listened on by {os.getpid()} (" in error.summary


def test_the_more_exact_listener_counts(here: Place) -> None:
    """Its own socket on all addresses does not help while a stranger has the one that was announced."""
    body = f"""
port = {{port}}
listen({IPV6}, "::1", port)
address = "127.0.0.1:{{port}}"
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = here.fails(app_of(here, body.format(port=listener.getsockname()[1])))
    assert error.category == "socket-foreign-process"


def test_a_port_where_nobody_listens_is_refused(here: Place) -> None:
    """A port that is bound only, by the process itself."""
    body = "HELD.append(socket.socket()); HELD[0].bind(('127.0.0.1', 0)); address = '127.0.0.1:%d' % HELD[0].getsockname()[1]"
    assert here.fails(app_of(here, body)).category == "socket-not-listening"


BLIND = """
import sys
from passenger.spawn import sockets
try:
    sockets.check(sys.argv[1], socket_dir="/nonexistent", pid=int(sys.argv[2]), uid=int(sys.argv[3]), by_session=True)
except sockets.SpawnFailure as failure:
    print(failure.category)
"""


SECRETIVE = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: only a privileged root may look"


def test_without_the_right_to_look_the_user_counts(here: Place) -> None:
    """Root of most containers may not look into processes of other users, but the socket's user is known to all."""
    unprivileged = (
        ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"] if os.geteuid() == 0 else []
    )

    def judged(address: str, pid: int, uid: int) -> str:
        words = [*unprivileged, sys.executable, "-c", BLIND, address, str(pid), str(uid)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    async def life() -> tuple[str, str]:
        process = await here.spawner(app_of(here, f"{OWN['its own']}{SERVE}\n{SECRETIVE}")).spawn()
        address = process.sockets[0].address
        own = 65534 if os.geteuid() == 0 else os.geteuid()
        found = judged(address, process.pid, own), judged(address, process.pid, own + 1)
        await stopped(process)
        return found

    assert run(life()) == ("", "socket-foreign-process")
