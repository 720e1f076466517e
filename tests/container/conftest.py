"""What container tests stand on: an engine, and the images of docker/ built on it once for a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images
from tests.support.engine import USUAL_SOCKET, Engine
from tests.support.one_engine import pytest_configure, pytest_unconfigure  # noqa: F401 - hooks of pytest

PATIENCE = 180.0
"""Seconds for a test itself."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/container/" in str(item.path):
            item.add_marker(pytest.mark.root("a Docker engine is started and used by root only"))
            if item.get_closest_marker("timeout") is None:
                # Whoever comes first builds the images for all: that is limited where it is done, not by his own time.
                item.add_marker(pytest.mark.timeout(PATIENCE, func_only=True))


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine(os.environ.get("DOCKER_HOST", USUAL_SOCKET))


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    return images.build(engine, "base")


@pytest.fixture(scope="session")
def full(engine: Engine) -> str:
    return images.build(engine, "full")


@pytest.fixture(scope="session")
def builder(engine: Engine) -> str:
    return images.builder(engine)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user of a container can read, too."""
    with tempfile.TemporaryDirectory(prefix="ppc", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
