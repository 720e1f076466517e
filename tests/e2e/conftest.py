"""What end-to-end tests stand on: the installed wheel, and folders that every user can reach."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation, install


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """The wheel, built from this checkout and installed once; with nginx, Django and Flask beside it."""
    with tempfile.TemporaryDirectory(prefix="pi", dir="/var/tmp") as folder:
        yield install(Path(folder))


def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ps", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for one test."""
    yield from _place()


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Path]:
    """A folder for all tests of one file."""
    yield from _place()
