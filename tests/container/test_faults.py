"""What goes wrong at the start of a container: a message that says what to do, and the documented exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.containerapps import HARDENED, mounted, write, wsgi
from tests.support.engine import Engine

BROKEN = "raise RuntimeError('the database is gone')\n"
UNWRITABLE = ("--read-only", "--cap-drop", "ALL")


@pytest.mark.parametrize(
    ("files", "options", "command", "status", "says"),
    [
        ({}, (), (), 78, ["no application in /app", 'docker run -v "$PWD":/app']),
        ({"app/passenger.toml": "config_version = 1\n[apps.x]\nmin_instancs = 3\n"}, (), (), 78, ["did you mean `min_instances`?", "passenger.toml:3"]),
        ({"app/passenger.toml": "config_version = 1\n[apps.x]\napp_root = '.'\nuser = 'nobody'\n", "app/passenger_wsgi.py": ""}, (), (), 78, ["user"]),
        ({}, ("-e", "DB_FILE=/run/secrets/none"), (), 78, ["DB_FILE: the secret /run/secrets/none does not exist", "hint:"]),
        ({"hooks/a.sh": "#!/bin/sh\necho why >&2; exit 9\n"}, (), (), 1, ["why", "hook /docker-entrypoint.d/a.sh exited with status 9", "hint:"]),
        ({"hooks/a.txt": ""}, (), (), 1, ["a.txt is no hook"]),
        ({"hooks/a.sh": "#!/bin/sh\nexec tail -f /dev/null\n"}, ("-e", "PASSENGER_HOOK_TIMEOUT=0.3"), (), 1, ["did not end in time"]),
        ({}, (), ("no-such-program",), 127, ["neither a command of Passenger nor a program"]),
        ({}, (), ("sh", "-c", "kill -KILL $$; exit 5"), 5, []),
        ({}, (), ("--no-such-option",), 2, ["No such option"]),
        ({}, (), ("start", "--prot", "80"), 2, ["No such option"]),
        ({}, (), ("status",), 3, ["no instance is running"]),
    ],
    ids=["no app", "bad key", "user without root", "missing secret", "failing hook", "unknown hook", "slow hook",
         "no program", "status of a program", "bad option", "bad option of start", "nothing runs"],
)  # fmt: skip
def test_a_container_that_cannot_start(
    engine: Engine, base: str, place: Path, files: dict[str, str], options: tuple[str, ...], command: tuple[str, ...],
    status: int, says: list[str],
) -> None:  # fmt: skip
    write(place / "app", {})
    write(place / "hooks", {})
    write(place, files)
    volumes = (*mounted(place / "app"), *mounted(place / "hooks", "/docker-entrypoint.d"))
    done = engine.once(base, *command, options=(*HARDENED, *volumes, *options))
    assert done.returncode == status, done.stdout + done.stderr
    for text in says:
        assert text in done.stdout + done.stderr


@pytest.mark.parametrize("closed", ["", "app.py", "passenger.toml"])
def test_a_folder_or_file_that_is_closed(engine: Engine, base: str, place: Path, closed: str) -> None:
    """As a strict umask leaves it: not `nothing to start`, which sends people the wrong way."""
    app = write(
        place / "app", {"app.py": "app = None\n", "passenger.toml": ""} if closed else {"app.py": "app = None\n"}
    )
    if closed == "app.py":
        (app / "passenger.toml").unlink()
    (app / closed).chmod(0o700 if not closed else 0o600)
    done = engine.once(base, options=(*HARDENED, *mounted(app)))
    assert done.returncode == 78, done.stdout + done.stderr
    assert f"/app/{closed or 'passenger.toml'}" in done.stderr
    assert "9999" in done.stderr
    assert "Traceback" not in done.stderr


def test_nowhere_to_write(engine: Engine, base: str, place: Path) -> None:
    """A read-only root without the two tmpfs: the folder is named."""
    done = engine.once(base, options=(*UNWRITABLE, *mounted(wsgi(place))))
    assert done.returncode == 1
    assert "/run/passenger" in done.stderr
    assert "Read-only file system" in done.stderr
    assert "--tmpfs /run/passenger" in done.stderr


def test_a_uid_that_is_taken(engine: Engine, place: Path) -> None:
    """At build time: 33 is www-data's. The message names the argument."""
    write(place, {"Dockerfile": f"FROM {engine.base()}\n{_user_lines()}"})
    with pytest.raises(AssertionError, match="choose another --build-arg PASSENGER_UID: 33 cannot be used"):
        engine.build("passenger-test/taken", place, build_args={"PASSENGER_UID": "33"})


def _user_lines() -> str:
    """The instructions of docker/Dockerfile.base that make the user, alone: the whole build has its own test."""
    text = (Path(__file__).parents[2] / "docker" / "Dockerfile.base").read_text()
    begin, end = text.index("    useradd"), text.index("    mkdir -p /app")
    return "ARG PASSENGER_UID\nRUN set -eu; \\\n" + text[begin:end].rstrip().removesuffix("\\") + "\n"


def test_an_application_that_does_not_start(engine: Engine, base: str, place: Path) -> None:
    """The container stays, the cause is in its log and its status, it is unhealthy, and it stops with 0."""
    app = wsgi(place, BROKEN)
    options = (
        *HARDENED,
        *mounted(app),
        "--health-interval",
        "1s",
        "--health-start-period",
        "1s",
        "--health-retries",
        "1",
    )
    with engine.running(base, options=options) as container:
        container.wait_ready()
        assert container.fetch().status in {500, 502, 503}
        assert "the database is gone" in container.logs()
        assert container.exec("passenger", "health", "--live").returncode == 0
        assert container.inspect()["RestartCount"] == 0
        assert container.stop() == 0, container.logs()


def test_restarts_by_the_engine_do_not_hide_the_cause(engine: Engine, base: str, place: Path) -> None:
    """The last lines of the log are the cause, each time."""
    write(place / "app", {})
    with engine.running(base, options=(*mounted(place / "app"), "--restart", "on-failure:2"), port=0) as container:
        assert container.wait_exit() == 78
        while container.inspect()["State"]["Status"] != "exited" or container.inspect()["RestartCount"] < 2:
            assert container.inspect()["State"]["Status"] in {"exited", "restarting", "running"}
        assert container.logs().count("no application in /app") == 3
