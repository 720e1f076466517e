"""Users, CPUs, memory and health as the engine sets and sees them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.containerapps import HARDENED, mounted, write, wsgi
from tests.support.engine import Engine

FAST_HEALTH = (
    "--health-interval",
    "1s",
    "--health-timeout",
    "20s",
    "--health-start-period",
    "1s",
    "--health-retries",
    "1",
)
SLOW_START = "open('/gate/start').read()\n"


@pytest.mark.parametrize("user", ["9999:0", "12345:0", "12345:12345"])
def test_any_user_runs_it(engine: Engine, base: str, place: Path, user: str) -> None:
    """With and without an account; everything is that user's, nothing is written outside of the two tmpfs."""
    with engine.running(base, options=(*HARDENED, "--user", user, *mounted(wsgi(place)))) as container:
        assert container.wait_ready().fetch("/who").text.split()[1:] == user.split(":")
        table = container.exec("sh", "-c", "stat -c %u /proc/[0-9]* 2>/dev/null; true").stdout.split()
        assert set(table) == {user.partition(":")[0]}
        assert container.stop() == 0


def test_as_root_applications_are_still_not_root(engine: Engine, base: str, place: Path) -> None:
    """An explicit choice, for users per application: nginx's workers and applications have none of root's rights."""
    with engine.running(base, options=("--user", "0", *mounted(wsgi(place)))) as container:
        uid = container.wait_ready().fetch("/who").text.split()[1]
        assert uid == "65534"


@pytest.mark.parametrize(("memory", "cpus", "nginx_workers"), [("256m", "1", 1), ("1g", "2", 2), ("1g", "0.5", 1)])
def test_sizes_follow_the_limits(
    engine: Engine, base: str, place: Path, memory: str, cpus: str, nginx_workers: int
) -> None:
    """Not the machine's memory, not its CPUs: those of the container."""
    options = ("--memory", memory, "--cpus", cpus)
    with engine.running(base, options=(*HARDENED, *mounted(wsgi(place)), *options)) as container:
        container.wait_ready()
        workers = container.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c '[w]orker process'")
        assert int(workers.stdout) == nginx_workers
        status = container.exec("passenger", "status", "--format", "json").stdout
        (size,) = re.findall(r'"max_pool_size": (\d+)', json.dumps(json.loads(status)))
        assert int(size) <= (3 if memory == "256m" else 12)
        assert container.fetch().status == 200


def test_health_follows_the_application(engine: Engine, base: str, place: Path) -> None:
    """Not healthy before the application can answer, healthy afterwards; and `off` asks nothing."""
    gate = write(place / "gate", {})
    os.mkfifo(gate / "start")
    (gate / "start").chmod(0o666)
    config = 'config_version = 1\n[instances.main.nginx]\nlisten = ["0.0.0.0:8080"]\n[apps.app]\napp_root = "/app"\n'
    app = write(wsgi(place, SLOW_START + (HELLO)), {"passenger.toml": config})
    options = (*HARDENED, *mounted(app), *mounted(gate, "/gate"), *FAST_HEALTH)
    with engine.running(base, options=options) as container:
        container.health("unhealthy")
        with (gate / "start").open("w"):
            pass
        container.health("healthy")
        last = container.inspect()["State"]["Health"]["Log"][-1]
        assert last["ExitCode"] == 0
        assert "is ready" in last["Output"]
    with engine.running(
        base, "tail", "-f", "/dev/null", options=(*FAST_HEALTH, "-e", "PASSENGER_HEALTHCHECK=off"), port=0
    ) as worker:
        worker.health("healthy")


HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


def test_logs_are_json_when_asked_and_name_the_application(engine: Engine, base: str, place: Path) -> None:
    """All of it on the container's own output: access log, our lines, lines of applications."""
    config = (
        'config_version = 1\n[instances.main]\nlog_format = "json"\n[instances.main.nginx]\nlisten = ["0.0.0.0:8080"]\n'
        'access_log_format = "json"\n[apps.shop]\napp_root = "/app"\n'
    )
    app = write(wsgi(place, "print('said by the shop')\n" + HELLO), {"passenger.toml": config})
    with engine.running(base, options=(*HARDENED, *mounted(app))) as container:
        container.wait_ready()
        assert container.fetch("/page").status == 200
        container.wait_for("/page")
        assert container.stop() == 0
        lines = [line for line in container.logs().splitlines() if line.startswith("{")]
        records = [json.loads(line) for line in lines]
        assert any("said by the shop" in json.dumps(record) and "shop" in json.dumps(record) for record in records)
        assert any("/page" in json.dumps(record) for record in records)
