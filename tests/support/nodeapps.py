"""Test applications of Node.js with the packages that their lock files name, and compiled ones."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

APPS = Path(__file__).parents[1] / "e2e" / "apps"


def needed(program: str, package: str) -> str:
    """The path of a program. A test without it fails, and says how to get it."""
    found = shutil.which(program)
    if found is None:
        raise AssertionError(f"this test needs `{program}`: apt-get install {package} (`./dev test` does it)")
    return found


def installed(name: str, cache: pytest.Cache) -> Path:
    """A copy of the application with its `node_modules`, made once per lock file (by one of several test processes)."""
    source = APPS / name
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = Path(cache.mkdir(f"node-{name}-{digest}"))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        app = folder / name
        if not (folder / "done").exists():
            shutil.rmtree(app, ignore_errors=True)
            shutil.copytree(source, app, ignore=shutil.ignore_patterns("node_modules"))
            npm(app)
            (folder / "done").touch()
        shutil.copytree(source, app, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    return app


def npm(app: Path) -> None:
    """`npm ci`: exactly what the lock file says, no scripts of the packages."""
    command = [needed("npm", "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"npm ci in {app} failed:\n{done.stdout}{done.stderr}"


def compiled(folder: Path) -> Path:
    """The generic binary, compiled into the folder."""
    program = folder / "server"
    command = [needed("cc", "gcc libc6-dev"), "-O1", "-pthread", "-o", str(program)]
    done = subprocess.run(
        [*command, str(APPS / "generic_binary" / "server.c")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    os.chmod(program, 0o755)  # noqa: PTH101 - whatever the umask
    return program
