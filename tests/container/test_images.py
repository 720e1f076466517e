"""The images themselves: what is in them, and what of the machine that built them is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from docker.variants import VARIANTS
from tests.support import images
from tests.support.containerapps import HARDENED, mounted, write
from tests.support.engine import Engine
from tests.support.running import CHECKOUT

NAMES = ("base", *(variant.name for variant in VARIANTS if not variant.is_builder))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.timeout(900)
def test_what_an_image_has_and_has_not(engine: Engine, name: str) -> None:
    """No compiler, no pip, no package lists; bytecode; a number as user; the same health check and stop signal."""
    image = images.build(engine, name)
    facts = json.loads(engine.docker("image", "inspect", image).stdout)[0]["Config"]
    assert facts["User"] == "9999:0"
    assert facts["StopSignal"] == "SIGTERM"
    assert facts["Entrypoint"] == ["passenger", "container"]
    assert facts["Healthcheck"]["Test"] == ["CMD", "passenger", "health", "--ready"]
    assert facts["Labels"]["org.opencontainers.image.version"] == "0.0.0-test"
    assert facts.get("Volumes") is None
    look = (
        "for program in gcc cc make pip pip3 npm; do ! command -v $program || exit 1; done; "
        'test -z "$(ls /var/lib/apt/lists)"; ls /opt/passenger/lib/python3*/site-packages/passenger/__pycache__/errors.*.pyc; '
        "find / -xdev -perm /6000 -newer /opt/passenger/bin/passenger -type f"
    )
    done = engine.once(image, "sh", "-ec", look, options=("--user", "0"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1, done.stdout


@pytest.mark.timeout(900)
def test_nothing_of_the_machine_that_built_it_is_left(engine: Engine, full: str) -> None:
    """Certificate authorities, indexes and proxies of the build are the builder stage's own."""
    history = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", full).stdout
    config = engine.docker("image", "inspect", full).stdout
    look = "ls -d /settings /etc/pip.conf /checkout /wheel /tools 2>/dev/null; ls -A ~root; env"
    said = engine.once(full, "sh", "-c", look, options=("--user", "0")).stdout
    assert said.startswith(".bashrc\n.profile\n")
    for text in (history, config, said):
        assert not [word for word in ("PIP_", "_proxy", "CA_BUNDLE", "SSL_CERT") if word in text]
    marks = [line for line in images.settings()["pip.conf"].decode().splitlines() if "://" in line]
    for mark in [line.partition("=")[2].strip() for line in marks]:
        found = engine.once(full, "grep", "-rlF", "--", mark, "/opt", "/etc", "/root", options=("--user", "0"))
        assert found.stdout == ""


def test_the_bill_of_materials_is_that_of_the_image(engine: Engine, full: str) -> None:
    live = json.loads(engine.once(full, "sbom").stdout)
    stored = json.loads(engine.once(full, "cat", "/opt/passenger/share/passenger/sbom.cdx.json").stdout)
    assert live == stored
    names = {component["name"] for component in live["components"]}
    assert {"nginx", "python3", "nodejs", "ruby", "click", "uvloop", "libc6"} <= names


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("language", "says"), [("python", "Flask"), ("ruby", "Sinatra"), ("node", "Express")])
def test_examples_build_and_serve(engine: Engine, builder: str, language: str, says: str) -> None:
    """Dependencies come from a first stage; the image that serves can neither compile nor install."""
    tag = f"passenger-test/example-{language}"
    arguments = {"BUILD_IMAGE": builder, "IMAGE": images.build(engine, language)}
    engine.build(tag, CHECKOUT / "docker" / "examples" / language, build_args=arguments)
    with engine.running(tag, options=HARDENED) as container:
        container.wait_ready()
        answer = container.fetch()
        assert (answer.status, answer.text) == (200, f"Hello from {says}\n"), container.logs()
        assert container.stop() == 0


@pytest.mark.timeout(900)
def test_dependencies_of_a_pyproject(engine: Engine, builder: str, place: Path) -> None:
    """The example with a `pyproject.toml` instead, by the command of docs/containers.md."""
    app = shutil.copytree(CHECKOUT / "docker" / "examples" / "python", place / "app")
    (app / "requirements.txt").rename(app / "pyproject.toml")
    (app / "pyproject.toml").write_text('[project]\nname = "hello"\nversion = "1"\ndependencies = ["flask>=3,<4"]\n')
    text = (
        (app / "Dockerfile")
        .read_text()
        .replace("-r requirements.txt", ".")
        .replace("requirements.txt", "pyproject.toml")
    )
    (app / "Dockerfile").write_text(text)
    arguments = {"BUILD_IMAGE": builder, "IMAGE": images.build(engine, "python")}
    engine.build("passenger-test/example-pyproject", app, build_args=arguments)
    with engine.running("passenger-test/example-pyproject", options=HARDENED) as container:
        assert container.wait_ready().fetch().text == "Hello from Flask\n", container.logs()


def test_two_lines_make_an_image(engine: Engine, base: str, place: Path) -> None:
    write(place, {"Dockerfile": f"FROM {base}\nCOPY . .\n", "passenger_wsgi.py": HELLO})
    engine.build("passenger-test/two-lines", place)
    with engine.running("passenger-test/two-lines", options=(*HARDENED, "--user", "12345:12345")) as container:
        assert container.wait_ready().fetch().text == "two lines"


def test_the_account_can_have_another_number(engine: Engine, base: str, place: Path) -> None:
    """A22: at build time, and what belonged to it belongs to it still; a mistake ends the build and says what to do."""
    write(place, {
        "Dockerfile": f"FROM {base}\nUSER 0\nRUN passenger-set-id 1234\nUSER 1234:0\nCOPY . .\n",
        "passenger_wsgi.py": WHO,
    })  # fmt: skip
    engine.build("passenger-test/set-id", place)
    with engine.running("passenger-test/set-id", options=HARDENED) as container:
        assert container.wait_ready().fetch().text == "app 1234 0"
        assert container.exec("stat", "-c", "%U %u %g %a", "/app").stdout == "app 1234 0 775\n"
        assert container.stop() == 0
    for arguments, status, says in (
        (("33",), 1, "33 is the number of www-data already"),
        (("0",), 2, "'0' is no user"),
        (("1e3",), 2, "'1e3' is no user"),
        ((), 2, "usage: passenger-set-id UID [GID]"),
    ):
        done = engine.once(base, "passenger-set-id", *arguments, options=("--user", "0"))
        assert (done.returncode, says in done.stderr) == (status, True), done.stderr
    done = engine.once(base, "passenger-set-id", "1234")
    assert (done.returncode, "put USER 0 before it" in done.stderr) == (1, True)


def test_read_only_means_read_only(engine: Engine, base: str, place: Path) -> None:
    """Not a file of the image is written, by us or by the loaders."""
    app = write(place / "app", {"passenger_wsgi.py": HELLO})
    with engine.running(base, options=mounted(app)) as container:
        assert container.wait_ready().fetch().status == 200
        changed = engine.docker("diff", container.id).stdout.split("\n")
    roots = {line[2:] for line in changed if line and not line[2:].startswith(("/run", "/tmp"))}
    assert not roots


HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"two lines"]
"""

WHO = """
import os, pwd
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{pwd.getpwuid(os.getuid()).pw_name} {os.getuid()} {os.getgid()}".encode()]
"""
