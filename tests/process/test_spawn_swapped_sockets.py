"""F13, F14: an application that swaps what lies at its socket's path, as fast as it can, 10,000 times."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from passenger.spawn.failure import SpawnFailure
from passenger.spawn.sockets import PEER_CREDENTIALS, check, connect
from tests.support.folders import remove

ROUNDS = 10_000
ATTACKER = """
import os, select, socket, sys
folder, elsewhere = sys.argv[1:]
own = socket.socket(socket.AF_UNIX)
own.bind(folder + "/own")
own.listen(4096)
own.setblocking(False)
os.mkfifo(folder + "/fifo")
os.symlink(elsewhere, folder + "/link")
print("ready", flush=True)
while not select.select([0], [], [], 0)[0]:
    for name in ("own", "link", "fifo", "other"):
        os.link(folder + "/" + name, folder + "/next", follow_symlinks=False)
        os.rename(folder + "/next", folder + "/app")
        try:
            while True:
                own.accept()[0].close()
        except BlockingIOError:
            pass
"""


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    try:
        yield folder
    finally:
        remove(folder)


def peer(conn: socket.socket) -> int:
    pid: int = PEER_CREDENTIALS.unpack(conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size))[0]
    return pid


def test_whoever_wins_the_race_only_the_process_itself_is_spoken_to(folder: Path) -> None:
    """Each look ends in a connection to the process or in a refusal; nobody else ever gets a byte."""
    sockets = folder / "s"
    sockets.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "elsewhere"))
        other.listen(4096)
        other.setblocking(False)
        os.link(folder / "elsewhere", sockets / "other")
        command = [sys.executable, "-c", ATTACKER, str(sockets), str(folder / "elsewhere")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attacker:
            assert attacker.stdout is not None
            assert attacker.stdout.readline() == b"ready\n"
            found = Counter(_look(sockets, attacker.pid, other) for _ in range(ROUNDS))
            attacker.communicate(b"end", timeout=60)
        assert attacker.returncode == 0
    assert found.total() == ROUNDS
    assert found["spoken to"], found
    assert {"socket-not-a-socket", "socket-foreign-process"} <= set(found), found


def _look(sockets: Path, pid: int, other: socket.socket) -> str:
    """What one check and one connection after it come to."""
    address = f"unix:{sockets}/app"
    try:
        check(address, socket_dir=str(sockets), pid=pid, uid=os.geteuid())
        with connect(address, pid) as conn:
            assert peer(conn) == pid
    except SpawnFailure as failure:
        return failure.category
    else:
        return "spoken to"
    finally:
        _nothing_was_said(other)


def _nothing_was_said(other: socket.socket) -> None:
    """Whoever was connected to by mistake was left without a word."""
    while True:
        try:
            conn = other.accept()[0]
        except BlockingIOError:
            return
        with conn:
            assert conn.recv(1) == b""
