"""Who may ask what on the control sockets, as each user (fault matrix F11): core and watchdog, verbs of every kind."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from passenger.core.api import MAX_QUESTIONERS, CoreApi
from passenger.instance.roles import Roles
from passenger.log import Log
from passenger.posix.sockets import bind_unix, peer_groups
from tests.support.watchdog import make_plan, registry, running

PYTHON = "/usr/bin/python3"
READER_GROUP, READER, STRANGER = 61001, 61002, 61003
ASK = """
import json, socket, sys
def ask(path, verb):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        try:
            client.connect(path)
            try:
                client.sendall(json.dumps({"verb": verb}).encode() + b"\\n")
            except BrokenPipeError:
                pass
            answer = json.loads(client.makefile().readline())
        except OSError as error:
            return type(error).__name__
    return "done" if answer["ok"] else answer["error"].split(",")[0]
print(json.dumps({verb: ask(sys.argv[1], verb) for verb in sys.argv[2:]}))
"""


def ask_as(uid: int, groups: list[int], path: str, *verbs: str) -> dict[str, str]:
    """What somebody else gets: verb -> done, the refusal, or the name of the error."""
    done = subprocess.run(
        [PYTHON, "-I", "-c", ASK, path, *verbs],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        user=uid,
        group=groups[0] if groups else uid,
        extra_groups=groups,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


CLOSED = "PermissionError"
REFUSED = f"user {STRANGER} may not ask this instance"


@pytest.mark.root("questions of several users")
@pytest.mark.parametrize(
    ("readers", "uid", "groups", "tells", "changes"),
    [
        ({"reader_gids": [READER_GROUP]}, 0, [], "done", "readers may only look"),
        ({"reader_gids": [READER_GROUP]}, STRANGER, [READER_GROUP], "done", "readers may only look"),
        ({"reader_gids": [READER_GROUP]}, STRANGER, [STRANGER, READER_GROUP], "done", "readers may only look"),
        ({"reader_gids": [READER_GROUP]}, STRANGER, [], CLOSED, CLOSED),
        ({"reader_uids": [READER]}, READER, [], "done", "readers may only look"),
        ({"reader_uids": [READER]}, STRANGER, [], REFUSED, REFUSED),
        (
            {"reader_uids": [READER], "reader_gids": [READER_GROUP]},
            STRANGER,
            [READER_GROUP],
            "done",
            "readers may only",
        ),
    ],
)
def test_the_watchdogs_sockets_as_each_user(
    readers: dict[str, Any], uid: int, groups: list[int], tells: str, changes: str
) -> None:
    """Readers look; nobody changes anything on their socket; the other socket is closed to everybody but root."""
    with registry() as folder, running(dataclasses.replace(make_plan(folder), **readers)) as watchdog:
        assert watchdog.wait_ready() == {"ready": True}
        found = ask_as(uid, groups, watchdog.paths.watchdog_api_readers, "status", "stop", "reload", "reopen_logs")
        assert found["status"] == tells
        assert all(found[verb].startswith(changes) for verb in ("stop", "reload", "reopen_logs")), found
        if uid:
            assert ask_as(uid, groups, watchdog.paths.watchdog_api, "status", "stop") == {
                "status": CLOSED,
                "stop": CLOSED,
            }
        assert watchdog.ask("status")["state"] == "running"
        assert watchdog.ask("reopen_logs")["ok"]


def test_without_readers_there_is_no_socket_for_them() -> None:
    """What nobody asked for is not there."""
    with registry() as folder, running(make_plan(folder)) as watchdog:
        watchdog.wait_ready()
        assert not [path.name for path in Path(watchdog.paths.root).iterdir() if path.name.endswith("_ro")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may pass."""
    with tempfile.TemporaryDirectory(prefix="pp", dir="/tmp") as made:
        Path(made).chmod(0o711)
        yield Path(made)


def served_by_core(folder: Path, roles: Roles, questions: list[tuple[int, list[int], str]]) -> list[dict[str, str]]:
    """Ask a CoreApi with one verb of each kind; a question is uid, groups and the name of a socket."""

    async def verb(_: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    async def scenario() -> list[dict[str, str]]:
        log = Log(component="test", fd=os.memfd_create("log"))
        api = CoreApi(
            telling={"status": verb}, private={"logs": verb}, changing={"restart": verb}, roles=roles, log=log
        )
        mode, gid = roles.socket_rights()
        await api.listen(bind_unix(f"{folder}/full", mode=0o600))
        await api.listen_to_readers(bind_unix(f"{folder}/ro", mode=mode, gid=gid))
        found = []
        for uid, groups, name in questions:
            asking = asyncio.to_thread(ask_as, uid, groups, f"{folder}/{name}", "status", "logs", "restart", "eval")
            found.append(await asking)
        api.close()
        return found

    return asyncio.run(scenario())


@pytest.mark.root("questions of several users")
def test_the_cores_sockets_as_each_user(folder: Path) -> None:
    """Root everything; readers what tells and is not private; applications' users nothing."""
    roles = Roles(owner=0, reader_uids=[READER], reader_gids=[READER_GROUP])
    asked = [(0, [], "full"), (READER, [], "ro"), (STRANGER, [READER_GROUP], "ro"), (STRANGER, [], "ro")]
    root, reader, member, stranger = served_by_core(folder, roles, asked)
    assert root == {"status": "done", "logs": "done", "restart": "done", "eval": "no such verb: 'eval'"}
    only = "readers may only look"
    assert reader == member == {"status": "done", "logs": only, "restart": only, "eval": "no such verb: 'eval'"}
    assert set(stranger.values()) == {REFUSED}


@pytest.mark.root("questions of several users")
def test_an_application_of_the_cores_own_user_has_no_role(folder: Path) -> None:
    """The core that root started may run as the applications' user: that makes nobody an administrator."""
    roles = Roles(owner=0)
    (found,) = served_by_core(folder, roles, [(65534, [], "ro")])
    assert set(found.values()) == {"user 65534 may not ask this instance"}


def test_one_group_is_kept_by_the_file_system(folder: Path) -> None:
    """The socket of one group is closed to others before we are asked; with more readers everybody may knock."""
    mine = os.getegid()
    mode, gid = Roles(owner=1, reader_gids=[mine]).socket_rights()
    with bind_unix(f"{folder}/one", mode=mode, gid=gid):
        facts = Path(f"{folder}/one").stat()
        assert (stat.S_IMODE(facts.st_mode), facts.st_gid) == (0o660, mine)
    assert Roles(owner=1, reader_gids=[5, 6]).socket_rights() == (0o666, None)
    assert Roles(owner=1, reader_gids=[5], reader_uids=[5]).socket_rights() == (0o666, None)


def test_groups_of_the_peer_come_from_the_kernel() -> None:
    """All of them, not only the first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_groups(ours) == frozenset(os.getgroups())


def test_one_connection_too_many_is_told_so(folder: Path) -> None:
    """On each socket for itself: full readers' places leave those of the full role free."""

    async def verb(_: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    async def connected(name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(f"{folder}/{name}")
        writer.write(b'{"verb":"status"}\n')
        return reader, writer

    async def scenario() -> list[dict[str, Any]]:
        log = Log(component="test", fd=os.memfd_create("log"))
        api = CoreApi(telling={"status": verb}, changing={}, roles=Roles(owner=os.geteuid()), log=log)
        await api.listen(bind_unix(f"{folder}/full", mode=0o600))
        await api.listen_to_readers(bind_unix(f"{folder}/ro", mode=0o600))
        open_ones, answers = [], []
        for name in [*["ro"] * (MAX_QUESTIONERS + 1), "full"]:
            reader, writer = await connected(name)
            open_ones.append(writer)
            answers.append(json.loads(await reader.readline()))
        for writer in open_ones:
            writer.close()
        api.close()
        return answers

    answers = asyncio.run(scenario())
    assert [answer["ok"] for answer in answers] == [*[True] * MAX_QUESTIONERS, False, True]
    assert "too many" in answers[-2]["error"]
