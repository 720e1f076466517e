"""docker/swarm on a Swarm of one node: deployed, scaled, updated under load."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containerapps import write
from tests.support.engine import Engine, client
from tests.support.http import fetch
from tests.support.load import load, wait_until_count
from tests.support.probe import wait_until
from tests.support.running import CHECKOUT, free_port

STACK = "pptest"
FILE = CHECKOUT / "docker" / "swarm" / "stack.yaml"
PATIENCE = 180.0
RATE = 50.0
APP = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"VERSION " + os.uname().nodename.encode()]
"""


@pytest.fixture
def swarm(engine: Engine) -> Iterator[Engine]:
    """The engine as the only node of a Swarm that listens, and publishes ports, on loopback."""
    made = engine.docker(
        "network", "create", "-o", "com.docker.network.bridge.name=docker_gwbridge",
        "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "docker_gwbridge", check=False,
    )  # fmt: skip
    assert made.returncode == 0 or "already exists" in made.stderr, made.stderr
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", f"127.0.0.1:{free_port()}")
    try:
        yield engine
    finally:
        engine.docker("stack", "rm", STACK, check=False)
        engine.docker("swarm", "leave", "--force", check=False)
        if made.returncode == 0:  # an engine that was there before is left as it was

            def is_gone() -> bool:
                return engine.docker("network", "rm", "docker_gwbridge", check=False).returncode == 0

            wait_until(is_gone, "the last task has left docker_gwbridge", timeout=PATIENCE)


@pytest.fixture
def images(engine: Engine, base: str, place: Path) -> list[str]:
    """Two versions of an application, each a two-line image."""
    tags = []
    for version in ("one", "two"):
        context = write(place / version, {"passenger_wsgi.py": APP.replace("VERSION", version)})
        (context / "Dockerfile").write_text(f"FROM {base}\nCOPY passenger_wsgi.py ./\n")
        tags.append(f"passenger-test/swarm:{version}")
        engine.build(tags[-1], context)
    return tags


def deploy(swarm: Engine, image: str, front: str, port: int, replicas: int) -> None:
    environment = {
        **swarm.environment(), "APP_IMAGE": image, "FRONT_IMAGE": front, "PORT": str(port), "STACK": STACK,
        "REPLICAS": str(replicas),
    }  # fmt: skip
    done = subprocess.run(
        [client(), "stack", "deploy", "--resolve-image", "never", "-c", str(FILE), STACK],
        check=False, capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def answer(port: int) -> str:
    with contextlib.suppress(OSError):
        found = fetch(port)
        return found.text if found.status == 200 else ""
    return ""


def tasks_of(port: int) -> set[str]:
    """Who answers, asked often enough to meet everybody."""
    return {answer(port).partition(" ")[2] for _ in range(30)} - {""}


def update_state(swarm: Engine) -> str:
    (service,) = json.loads(swarm.docker("service", "inspect", f"{STACK}_app").stdout)
    return str((service.get("UpdateStatus") or {}).get("State", ""))


def troubles(swarm: Engine) -> str:
    tasks = swarm.docker("stack", "ps", "--no-trunc", STACK, check=False).stdout
    return tasks + swarm.docker("service", "logs", "--tail", "100", f"{STACK}_app", check=False).stdout


def test_scaled_and_updated_under_load(swarm: Engine, base: str, images: list[str]) -> None:
    """Three tasks, each replaced by one of the next version, at 50 requests a second: none fails."""
    port = free_port()
    deploy(swarm, images[0], base, port, 1)
    try:
        wait_until(lambda: answer(port).startswith("one"), "the first task answers", timeout=PATIENCE)
        swarm.docker("service", "scale", "--detach", f"{STACK}_app=3")
        wait_until(lambda: len(tasks_of(port)) == 3, "three tasks answer", timeout=PATIENCE)
        with load(port, rate=RATE, limit=PATIENCE) as result:
            wait_until_count(result, 50)
            deploy(swarm, images[1], base, port, 3)
            wait_until(lambda: update_state(swarm) == "completed", "the update is complete", timeout=PATIENCE)
            wait_until_count(result, len(result.outcomes) + 400)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{troubles(swarm)}") from error
    versions = [one.body.partition(b" ")[0] for one in result.outcomes]
    assert [one.problem or one.status for one in result.failed] == []
    assert versions[0] == b"one"
    assert set(versions[-50:]) == {b"two"}
    print(f"{len(versions)} requests during the update, 0 failed, slowest {result.worst_latency:.2f} s")
