"""Who processes run as, for real: as root, with the machine's own accounts."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passenger.spawn.running import DirectProcess
from tests.support.spawning import Place, place, proc_text, run, stopped

pytestmark = pytest.mark.root("processes switch users")


@pytest.fixture(name="here")
def _here() -> Iterator[Place]:
    with place() as made:
        yield made


def ids(process: DirectProcess) -> tuple[set[str], set[str], set[str], int]:
    """All user ids, all group ids, supplementary groups, effective capabilities."""
    status = dict(line.split(":", 1) for line in proc_text(process.pid, "status").splitlines())
    return (
        set(status["Uid"].split()),
        set(status["Gid"].split()),
        set(status["Groups"].split()),
        int(status["CapEff"], 16),
    )


def test_an_application_of_root_runs_as_the_default_user(here: Place) -> None:
    """Root's own startup file makes nobody root."""
    nobody = pwd.getpwnam("nobody")

    async def life() -> None:
        process = await here.spawner(here.app("blog")).spawn()
        found = ids(process)
        await stopped(process)
        assert found == ({str(nobody.pw_uid)}, {str(nobody.pw_gid)}, {str(nobody.pw_gid)}, 0)

    run(life())


def test_the_owner_of_the_startup_file_decides(here: Place) -> None:
    """By lstat, with the primary group and all supplementary groups of the account, and nothing else."""
    owner = pwd.getpwnam("www-data")
    app = here.app("blog")
    os.chown(Path(app.app_root) / "passenger_wsgi.py", owner.pw_uid, 0)
    os.setgroups([4, 5])

    async def life() -> None:
        process = await here.spawner(app).spawn()
        found, environ = ids(process), proc_text(process.pid, "environ").split("\0")
        await stopped(process)
        groups = {str(gid) for gid in os.getgrouplist("www-data", owner.pw_gid)}
        assert found == ({str(owner.pw_uid)}, {str(owner.pw_gid)}, groups, 0)
        assert {f"HOME={owner.pw_dir}", "USER=www-data", "LOGNAME=www-data"} <= set(environ)

    try:
        run(life())
    finally:
        os.setgroups([])


def test_user_and_group_of_the_configuration_win(here: Place) -> None:
    """Names or numbers, a number even without an account."""

    async def life() -> None:
        for user, group, wanted in (("www-data", "daemon", ("33", "1")), ("54321", "54322", ("54321", "54322"))):
            process = await here.spawner(here.app("blog", user=user, group=group)).spawn()
            found = ids(process)
            await stopped(process)
            assert (found[0], found[1]) == ({wanted[0]}, {wanted[1]})
            assert "0" not in found[2]

    run(life())


@pytest.mark.parametrize(
    ("keys", "category"),
    [
        ({"user": "root"}, "user-is-root"),
        ({"user": "0"}, "user-is-root"),
        ({"user": "nobody", "group": "root"}, "user-is-root"),
        ({"user": "nosuchuser"}, "user-missing"),
        ({"user": "54321"}, "user-missing"),
        ({"group": "nosuchgroup"}, "group-missing"),
    ],
)
def test_root_and_strangers_are_refused(here: Place, keys: dict[str, Any], category: str) -> None:
    """Before any process is made."""
    error = here.fails(here.app("blog", **keys))
    assert error.category == category
    assert error.steps[0][1] == "failed"


def test_a_closed_folder_is_named(here: Place) -> None:
    """Fault matrix B11: the message says which folder and which user."""
    app = here.app("blog")
    Path(app.app_root).chmod(0o700)
    error = here.fails(app)
    assert error.category == "app-root-closed"
    assert app.app_root in error.summary
    assert "nobody" in error.summary


def preparer_refuses(here: Place, identity: dict[str, object]) -> dict[str, str]:
    """What SpawnPreparer reports when it finds itself, as root, with another identity than it was promised."""
    document = {"identity": identity, "directory": "/", "umask": 0o22, "unset": [], "environ": {}, "program": ["true"]}
    parameters = os.memfd_create("parameters")
    os.write(parameters, json.dumps(document).encode())
    os.lseek(parameters, 0, os.SEEK_SET)
    reading, writing = os.pipe()
    argv = [
        here.python,
        "-I",
        "-S",
        str(here.root / "h" / "spawn_preparer.py"),
        str(parameters),
        str(writing),
        "0",
        "1",
        "2",
    ]
    child = subprocess.run(argv, pass_fds=[parameters, writing], stdin=subprocess.DEVNULL, check=False)
    os.close(writing)
    os.close(parameters)
    with os.fdopen(reading) as report:
        messages = [json.loads(line) for line in report]
    assert child.returncode == 1
    found: dict[str, str] = messages[-1]["error"]
    return found


def test_a_switch_that_did_not_happen_is_noticed(here: Place) -> None:
    """SpawnPreparer believes nobody: it asks the kernel."""
    found = preparer_refuses(here, {"uid": 12345, "gid": 12345, "groups": [], "switched": True})
    assert found["category"] == "user-switch-failed"


def test_a_switch_that_could_be_undone_is_noticed(here: Place) -> None:
    """Still being able to become root again is no switch."""
    own = {"uid": 0, "gid": 0, "groups": os.getgroups(), "switched": True}
    found = preparer_refuses(here, own)
    assert found["category"] == "user-switch-failed"
    assert "undone" in found["message"]
    found = preparer_refuses(here, {**own, "groups": [4321]})
    assert "supplementary" in found["message"]
