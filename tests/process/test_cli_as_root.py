"""Root's commands beside an instance that a service user started: they find it, look at it and change it; start does not mix in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import clean_environment, passenger
from tests.support.running import Lines, registry

SERVICE_USER = 65534
CONFIGURATION = """\
config_version = 1
[instances.main]
nginx.mode = "off"
[apps.blog]
app_root = "{folder}"
min_instances = 1
"""

pytestmark = pytest.mark.root("an instance of another user")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A registry of the service user with its instance running; the configuration lies beside, and is root's."""
    with registry() as folder:
        (folder / "passenger_wsgi.py").write_text("def application(environ, start_response): ...\n")
        (folder / "passenger.toml").write_text(CONFIGURATION.format(folder=folder))
        run = folder / "run"
        run.mkdir(0o755)
        os.chown(run, SERVICE_USER, SERVICE_USER)
        service = subprocess.Popen(
            [sys.executable, "-m", "passenger", "start", "--config", str(folder / "passenger.toml")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
            user=SERVICE_USER, group=SERVICE_USER, extra_groups=[],
            env=clean_environment(PASSENGER_INSTANCE_REGISTRY_DIR=str(run)),
        )  # fmt: skip
        lines = Lines(service.stdout)
        try:
            lines.wait_for(r"\bready\b")
            yield folder
        finally:
            service.terminate()
            assert service.wait(60) == 0, lines.text()
            lines.until_end()


def as_root(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of root's that looks where the service keeps its instances."""
    return passenger(*arguments, cwd=place, PASSENGER_INSTANCE_REGISTRY_DIR=str(place / "run"))


def test_validating_is_no_reason_to_complain_of_the_registry(place: Path) -> None:
    """Root may check what the service will run, and is told for whom it checked."""
    done = as_root(place, "validate", "passenger.toml")
    assert (done.returncode, done.stdout) == (0, "passenger.toml: valid\n"), done.stderr
    assert "warning[W404]" in done.stderr
    assert "belongs to user nobody" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("health", "--ready"),
        ("config", "diff"),
        ("reload", "--wait"),
        ("restart-app", "blog"),
    ],
)
def test_commands_find_and_serve_root(place: Path, arguments: tuple[str, ...]) -> None:
    """The instance answers root as it answers its own user."""
    done = as_root(place, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_starting_as_root_in_that_registry_is_refused(place: Path) -> None:
    """Nothing of root's comes to lie in a folder that somebody else may change."""
    other = place / "other.toml"
    other.write_text(CONFIGURATION.format(folder=place).replace("instances.main", "instances.other"))
    done = as_root(place, "start", "--config", "other.toml")
    assert done.returncode == 78
    assert "it belongs to user 65534, not to root" in done.stderr
    assert sorted(path.name for path in (place / "run").iterdir()) == ["main"]
