"""passenger_container on this machine: what it writes, and the service's own commands run against a Docker engine.

There is no systemd here; the command lines of the unit are run one by one, as systemd would.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import images
from tests.support.deployments import APPLICATION, changed
from tests.support.engine import Engine, an_engine
from tests.support.http import fetch
from tests.support.playbooks import Played, run
from tests.support.running import free_port

NAME = "passenger-role-test"
UNIT = Path(f"/etc/systemd/system/{NAME}.service")

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with an_engine() as engine:
        images.build(engine, "python")
        yield engine


def play(place: Path, port: int, **more: Any) -> Played:
    """The role on this machine as its only host."""
    variables = {
        "container_name": NAME, "engine_install": False, "image": images.tag("python"), "pull": "never",
        "network": "host", "volumes": [f"{place / 'app'}:/app:ro"], "environment": {"GREETING": "hello $there 100%"},
        "secrets": {"blog": "hush"}, "apps": {"blog": {"app_root": "/app", "env": {"KEY": {"file": "/run/secrets/blog"}}}},
        "config": {"config_version": 1, "instances": {"main": {"nginx": {"listen": [f"127.0.0.1:{port}"]}}}},
        **more,
    }  # fmt: skip
    given = {f"passenger_container_{name.removeprefix('container_')}": value for name, value in variables.items()}
    host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    inventory = place / "inventory.json"
    inventory.write_text(json.dumps({"passenger_containers": {"hosts": {"here": host}, "vars": given}}))
    return run("ansible-playbook", "--inventory", str(inventory), "playbooks/container.yml", deadline=300)


def command(key: str) -> list[str]:
    """The command line of the unit, with the escapes of systemd undone."""
    found = re.search(rf"(?m)^{key}=(.*)$", UNIT.read_text())
    assert found
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(found.group(1))]


def test_the_service_runs_reloads_and_goes(engine: Engine) -> None:
    """Written once, unchanged the second time; an invalid configuration is the image's to refuse, before any change."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pp", dir="/var/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "app").mkdir()
        (place / "app" / "passenger_wsgi.py").write_text(APPLICATION.format(more="", name="in a box"))
        try:
            first = play(place, port)
            assert first.status == 0, first.output[-4000:]
            assert "hush" not in first.output
            assert changed(play(place, port)) == 0
            assert_serves(engine, place, port)
            contradiction = {"blog": {"app_root": "/app", "min_instances": 3, "max_instances": 1}}
            before = UNIT.read_text()
            refused = play(place, port, apps=contradiction, memory="64m")
            assert refused.status == 2
            assert "max_instances" in refused.words
            assert UNIT.read_text() == before
        finally:
            gone = play(place, port, state="absent")
        assert gone.status == 0, gone.output[-4000:]
        assert not UNIT.exists()
        assert not Path("/etc/passenger-containers", NAME).exists()


def assert_serves(engine: Engine, place: Path, port: int) -> None:
    """What systemd would do with the unit: start, wait, reload, stop."""
    docker = engine.environment()
    with subprocess.Popen(
        command("ExecStart"), env=docker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as main:
        try:
            subprocess.run(command("ExecStartPost"), env={**docker, "MAINPID": str(main.pid)}, check=True, timeout=120)
            assert fetch(port).text == "release in a box"
            shown = engine.docker("exec", NAME, "passenger", "env", "--app", "blog").stdout
            assert "GREETING=hello $there 100%" in shown
            more = {"blog": {"app_root": "/app", "min_instances": 2}}
            assert changed(play(place, port, apps=more)) == 1, "one file"
            assert (
                engine.docker("exec", NAME, "passenger", "config", "diff", "--exit-code", check=False).returncode == 4
            )
            subprocess.run(command("ExecReload"), env=docker, check=True, timeout=120, capture_output=True)
            assert engine.docker("exec", NAME, "passenger", "config", "diff", "--exit-code").returncode == 0
        finally:
            subprocess.run(command("ExecStop"), env=docker, check=True, timeout=120, capture_output=True)
            assert main.wait(60) == 0
