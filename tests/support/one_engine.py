"""One engine for a whole run of pytest: for a conftest to import its two hooks from.

It is found or started before the first test, by the one process that pytest was called as; the workers of pytest-xdist
find its address in DOCKER_HOST. Each starting its own would be two on the same folder.
"""

from __future__ import annotations

import contextlib
import os

import pytest

from tests.support.engine import an_engine

_until_the_end = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Only as root: nobody else may."""
    if os.geteuid() == 0 and not hasattr(config, "workerinput") and not config.option.collectonly:
        os.environ["DOCKER_HOST"] = _until_the_end.enter_context(an_engine()).host


def pytest_unconfigure(config: pytest.Config) -> None:
    """The end of the run."""
    _until_the_end.close()
