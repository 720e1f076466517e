"""docker/compose, started by docker-compose as a user would: live reload of mounted code, production on one machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from passenger.config.load import load
from passenger.config.manifests import described
from tests.support.containerapps import write, wsgi
from tests.support.engine import Engine
from tests.support.http import fetch
from tests.support.probe import wait_until
from tests.support.running import CHECKOUT, free_port

FOLDER = CHECKOUT / "docker" / "compose"
PATIENCE = 90.0
HELLO = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("WORD " + os.environ.get("SECRET_KEY", "")).encode()]
"""


@contextlib.contextmanager
def up(engine: Engine, file: str, project: str, **variables: str) -> Iterator[Mapping[str, Any]]:
    """The services of a file for the time of the block; gives what the engine says of the container."""
    environment = {**engine.environment(), **variables}
    command = ["docker-compose", "--project-name", project, "-f", str(FOLDER / file)]

    def compose(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments], check=False, capture_output=True, text=True, timeout=PATIENCE, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        compose("up", "-d")
        (container,) = compose("ps", "-q", "app").split()
        found: list[Mapping[str, Any]] = json.loads(engine.docker("inspect", container).stdout)
        yield found[0]
    finally:
        compose("down", "-v")


def answer(port: int) -> str:
    with contextlib.suppress(OSError):
        found = fetch(port)
        return found.text if found.status == 200 else ""
    return ""


def test_development_serves_what_was_saved(engine: Engine, base: str, place: Path) -> None:
    """The next version within a moment, without a restart; nothing is written into the mounted folder."""
    app, port = wsgi(place, HELLO.replace("WORD", "first")), free_port()
    with up(engine, "compose.yaml", "ppdev", APP_IMAGE=base, APP_DIR=str(app), PORT=str(port)):
        wait_until(lambda: answer(port) == "first ", "the application answers", timeout=PATIENCE)
        (app / "passenger_wsgi.py").write_text(HELLO.replace("WORD", "second"))
        wait_until(lambda: answer(port) == "second ", "what was saved is served", timeout=PATIENCE)
        assert [path.name for path in app.iterdir()] == ["passenger_wsgi.py"]


def test_production(engine: Engine, base: str, place: Path) -> None:
    """Everything is closed that E12 asks for, the secret arrives by file, and the engine finds the container healthy."""
    port = free_port()
    context = write(place / "image", {"passenger_wsgi.py": HELLO.replace("WORD", "secret:")})
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY passenger_wsgi.py ./\n")
    engine.build("passenger-test/compose", context)
    secret = place / "secret"
    secret.write_text("sesame\n")
    secret.chmod(0o644)
    variables = {"APP_IMAGE": "passenger-test/compose", "PORT": f"127.0.0.1:{port}", "SECRET_KEY_FILE": str(secret)}
    with up(engine, "compose.production.yaml", "ppprod", **variables) as container:
        wait_until(lambda: answer(port) == "secret: sesame", "the application answers", timeout=PATIENCE)
        settings = container["HostConfig"]
        assert settings["ReadonlyRootfs"] is True
        assert settings["CapDrop"] == ["ALL"]
        assert settings["SecurityOpt"] == ["no-new-privileges:true"]
        assert (settings["Memory"], settings["NanoCpus"]) == (1 << 30, 2 * 10**9)
        assert settings["LogConfig"]["Config"]["max-size"] == "10m"
        assert set(settings["Tmpfs"]) == {"/tmp", "/run/passenger"}
        assert not settings.get("Init")
        assert container["Config"]["StopTimeout"] == 55
        doctor = engine.docker("exec", container["Id"], "passenger", "doctor").stdout
        (line,) = [line for line in doctor.splitlines() if " memory " in line]
        assert "896 MB" in line, "1 GiB less two volumes in memory of 64 MiB"
        assert "without what" in line


def test_examples_fit_their_configurations() -> None:
    """`validate --target container` finds nothing in any of the files, the stack of the Swarm included."""
    for manifest, toml in (
        (FOLDER / "compose.yaml", FOLDER / "development" / "passenger.toml"),
        (FOLDER / "compose.production.yaml", FOLDER / "production" / "passenger.toml"),
        (FOLDER.parent / "swarm" / "stack.yaml", FOLDER.parent / "swarm" / "passenger.toml"),
    ):
        service = "app" if "front" in yaml.safe_load(manifest.read_text())["services"] else None
        target = described("container", manifest.read_text(), manifest.name, service)
        loaded = load(str(toml), environ={}, cwd=str(FOLDER), host=None, target=target)
        assert loaded.diagnostics == (), manifest.name
