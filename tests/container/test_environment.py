"""What reaches the application of a container's environment, and what users of other images met instead.

The numbers are threads of passenger-docker (pd) and of Passenger (p).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.containerapps import HARDENED, mounted, write, wsgi
from tests.support.engine import Engine

OPEN = 'config_version = 1\n[instances.main.nginx]\nlisten = ["0.0.0.0:8080"]\n[apps.app]\napp_root = "/app"\n'


def _environ(engine: Engine, image: str, app: Path, *options: str, command: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment of the application in a container that was started like this."""
    with engine.running(image, *command, options=(*HARDENED, *mounted(app), *options)) as container:
        found: dict[str, str] = json.loads(container.wait_ready().fetch("/environ").body)
        return found


def test_variables_of_the_container_reach_the_application(engine: Engine, base: str, place: Path) -> None:
    """pd#303 pd#341 pd#155 pd#153 pd#89: variables were lost on the way through init and nginx. Also odd ones, whole."""
    odd = "a b \"c\" 'd' $HOME ${X} `e` \\ ;{}# ü"
    found = _environ(
        engine,
        base,
        wsgi(place),
        "-e",
        "DATABASE_URL=postgres://db",
        "-e",
        f"ODD={odd}",
        "-e",
        "EMPTY=",
        "-e",
        "LINES=a\nb",
    )
    assert found["DATABASE_URL"] == "postgres://db"
    assert found["ODD"] == odd
    assert found["EMPTY"] == ""
    assert found["LINES"] == "a\nb"


def test_a_custom_uid_keeps_its_home_and_path(engine: Engine, base: str, place: Path) -> None:
    """What the image and `docker run` say about HOME, PATH and locale counts, also for a user without an account."""
    found = _environ(
        engine, base, wsgi(place), "-e", "HOME=/tmp/home", "-e", "PATH=/opt/passenger/bin:/usr/bin:/bin:/mine", "-e", "TZ=UTC"
    )  # fmt: skip
    assert found["HOME"] == "/tmp/home"
    assert found["PATH"].endswith(":/mine")
    assert found["LANG"] == "C.UTF-8"
    assert found["TZ"] == "UTC"


def test_what_is_documented_not_to_pass_does_not_pass(engine: Engine, base: str, place: Path) -> None:
    """pd#263: variables passed that were documented not to. Ours do not, neither do those that `deny` names."""
    app = write(wsgi(place), {"passenger.toml": OPEN + 'inherit.deny = ["AWS_*"]\n'})
    found = _environ(
        engine, base, app, "-e", "AWS_SECRET=x", "-e", "KEPT=1", "-e", "PASSENGER_SECRET=x", "-e", "NOTIFY_SOCKET=/x"
    )
    assert found["KEPT"] == "1"
    assert not {"AWS_SECRET", "NOTIFY_SOCKET"} & set(found)
    assert {name for name in found if name.startswith("PASSENGER_")} == {"PASSENGER_APP_ENV", "PASSENGER_GUPID"}


@pytest.mark.parametrize("name", ["RAILS_ENV", "NODE_ENV", "PASSENGER_APP_ENV"])
def test_the_environments_name_has_an_effect(engine: Engine, base: str, place: Path, name: str) -> None:
    """passenger-docker documents that setting RAILS_ENV has none."""
    found = _environ(engine, base, wsgi(place), "-e", f"{name}=staging")
    assert {found[each] for each in ("RAILS_ENV", "RACK_ENV", "NODE_ENV", "PASSENGER_APP_ENV")} == {"staging"}


def test_tuning_keys_come_from_the_environment(engine: Engine, base: str, place: Path) -> None:
    """pd#95: they could not. pd#395: pool limits seemed ignored."""
    app = write(wsgi(place), {"passenger.toml": OPEN})
    options = ("-e", "PASSENGER__apps__app__min_instances=2", "-e", "PASSENGER__instances__main__core__max_pool_size=3")
    with engine.running(base, options=(*HARDENED, *mounted(app), *options)) as container:
        container.wait_ready()
        status = json.loads(container.exec("passenger", "status", "--format", "json").stdout)
        assert "3" in re.findall(r'"max_pool_size": (\d+)', json.dumps(status))
        assert '"min_instances": 2' in json.dumps(status)


def test_what_a_hook_exports_reaches_the_application(engine: Engine, base: str, place: Path) -> None:
    """docker-nginx#745, docker-php: exports were lost in a subshell. Programs see them, too (docker-nginx#784)."""
    hooks = write(
        place / "hooks",
        {
            "10-a.envsh": 'export FROM_HOOK="$GIVEN and more"\n',
            "2-b.envsh": "export GIVEN=first\n",
            "20-c.sh": '#!/bin/sh\necho "hook saw $FROM_HOOK"\n',
        },
    )
    options = mounted(hooks, "/docker-entrypoint.d")
    assert _environ(engine, base, wsgi(place), *options)["FROM_HOOK"] == "first and more"
    done = engine.once(base, "sh", "-c", "echo $FROM_HOOK", options=(*HARDENED, *options))
    assert done.stdout == "hook saw first and more\nfirst and more\n"
    assert (
        engine.once(base, "env", options=(*HARDENED, *options, "-e", "PASSENGER_HOOKS=off")).stdout.count("FROM_HOOK")
        == 0
    )


def test_secrets_by_file_reach_the_application_and_nothing_else(engine: Engine, base: str, place: Path) -> None:
    """baseimage-docker wrote the whole environment, secrets included, to files; here none is written or shown."""
    secrets = write(place / "secrets", {"db": "hunter2-db\n", "key": "hunter2-key\n"})
    app = write(wsgi(place), {"passenger.toml": OPEN + 'env.KEY = { file = "/run/secrets/key" }\n'})
    options = (
        *mounted(secrets, "/run/secrets"),
        "-e",
        "DB_PASSWORD_FILE=/run/secrets/db",
        "-e",
        "SSL_CERT_FILE=/etc/x.pem",
    )
    with engine.running(base, options=(*HARDENED, *mounted(app), *options)) as container:
        found = json.loads(container.wait_ready().fetch("/environ").body)
        assert (found["DB_PASSWORD"], found["KEY"]) == ("hunter2-db", "hunter2-key")
        assert found["SSL_CERT_FILE"] == "/etc/x.pem"
        assert "DB_PASSWORD_FILE" not in found
        shown = container.exec("passenger", "config", "show", "--config", "/app/passenger.toml").stdout
        argv = container.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
        found_in = container.exec(
            "sh", "-c", "grep -rl hunter2 /tmp /etc /var /opt/passenger/share 2>/dev/null; true"
        ).stdout
        assert "hunter2" not in shown + argv + container.logs() + found_in


def test_command_inside_sees_the_same_environment(engine: Engine, base: str, place: Path) -> None:
    """p#1034 p#941 p#643 p#1216: login shells changed it unasked. None is run here, and `--explain` says what came from where."""
    app = write(wsgi(place), {"passenger.toml": OPEN})
    done = engine.once(
        base,
        "env",
        "--app",
        "app",
        "--explain",
        "--config",
        "/app/passenger.toml",
        options=(*HARDENED, *mounted(app), "-e", "MINE=yes"),
    )
    assert re.search(r"MINE.*yes", done.stdout), done.stdout + done.stderr
    assert "login shell" not in done.stdout
