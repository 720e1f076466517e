"""The generic loader with a compiled program and with a server that a shell script starts."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.support.httploader import members, started
from tests.support.nodeapps import APPS, compiled, needed

GENERIC = (sys.executable, "-I", "-S", "generic_loader.py")


def test_a_compiled_program_on_a_unix_socket() -> None:
    """One process, threads, kept-alive connections; killed by its SIGTERM, which is an end in order."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pp") as name:
        folder = Path(name)
        program = compiled(folder)
        with started(GENERIC, folder, app_start_command=str(program)) as made:
            assert made.address.startswith(f"unix:{folder}/generic.")
            connections = [made.http() for _ in range(20)]
            for turn in range(5):
                for conn in connections:
                    assert conn.fetch(f"/{turn}") == f"hello from a binary GET /{turn}".encode()
            assert len(members(made.process.pid)) == 2
            made.end_of_stdin()
            assert made.status() == 0
            assert [path.name for path in folder.iterdir()] == ["server"]


def test_a_server_that_a_shell_script_starts() -> None:
    """Its children, one per connection, end with it."""
    needed("perl", "perl")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pp") as sockets:
        env = {"GREETING": "good day"}
        app = APPS / "generic_shell"
        with started(GENERIC, app, env=env, app_start_command="./start.sh", socket_dir=sockets) as made:
            first, second = made.http(), made.http()
            assert first.fetch("/a") == b"good day GET /a"
            assert second.fetch("/b", method="POST", body=b"body") == b"body"
            assert first.fetch("/c") == b"good day GET /c"
            assert len(members(made.process.pid)) == 4
            made.terminate()
            assert made.status() == 0
            assert members(made.process.pid) == []
