"""A folder with the wheel of this checkout and of all that it needs, for each Python of the hosts: they ask no index.

1. Made on the machine of the tests with its own `pip`; hosts see the folder, never an address of an index.
2. A later version of Passenger is the same checkout under another number: what an upgrade does is what is tested.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.running import CHECKOUT

PYTHONS = ("3.11", "3.13")
"""Those of Debian 12 and 13."""

SOURCES = ("passenger", "helper_scripts", "config", "schema", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
_VERSION = re.compile(r'(?m)^__version__ = "([^"]+)"')


def fill(folder: Path, *more: str) -> str:
    """Put the wheel of this checkout, its dependencies and `more` into a folder; returns the wheel's version."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = build(CHECKOUT, folder)
    for version in PYTHONS:
        platforms = [f"manylinux_2_28_{platform.machine()}", f"manylinux2014_{platform.machine()}", "any"]
        chosen = [word for name in platforms for word in ("--platform", name)]
        _pip("download", "--only-binary=:all:", "--python-version", version, "--implementation", "cp", *chosen,
             "--dest", str(folder), str(wheel), *more)  # fmt: skip
    return current_version()


def fill_with_next_version(folder: Path, before: Path, number: str) -> Path:
    """A second wheelhouse, as `before` but for Passenger itself, which calls itself `number`."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before, folder, ignore=shutil.ignore_patterns("passenger_in_python-*"))
    sources = folder / "sources"
    for name in SOURCES:
        origin = CHECKOUT / name
        if origin.is_dir():
            shutil.copytree(origin, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            sources.mkdir(exist_ok=True)
            shutil.copy2(origin, sources / name)
    init = sources / "passenger" / "__init__.py"
    init.write_text(_VERSION.sub(f'__version__ = "{number}"', init.read_text()))
    wheel = build(sources, folder)
    shutil.rmtree(sources)
    return wheel


def current_version() -> str:
    found = _VERSION.search((CHECKOUT / "passenger" / "__init__.py").read_text())
    assert found, "passenger/__init__.py names no version"
    return found.group(1)


def build(sources: Path, folder: Path) -> Path:
    """The wheel of a checkout; an older one of the same name is replaced."""
    before = set(folder.glob("passenger_in_python-*.whl"))
    for wheel in before:
        wheel.unlink()
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(sources))
    (made,) = folder.glob("passenger_in_python-*.whl")
    return made


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]],
        check=False, capture_output=True, text=True, timeout=300, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, f"pip {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
