"""The product as its users have it: the wheel, built from this checkout, installed where every user can reach it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.running import CHECKOUT


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment with the wheel in it."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "venv" / "bin" / "python")

    @property
    def passenger(self) -> str:
        return str(self.folder / "venv" / "bin" / "passenger")


def reachable_python() -> str:
    """A Python that other users can run: Debian's when we are root, else ours."""
    return "/usr/bin/python3" if os.geteuid() == 0 else sys.executable


def install(folder: Path) -> Installation:
    """Build the wheel and install it with its dependencies into a fresh environment below `folder`."""
    folder.chmod(0o755)
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(CHECKOUT),
    )
    (wheel,) = folder.glob("*.whl")
    _run(reachable_python(), "-m", "venv", str(folder / "venv"))
    installation = Installation(folder)
    _run(
        installation.python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        f"{wheel}[nginx,apps,telemetry]",
    )
    return installation


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, cwd="/")
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def hand_over(folder: Path) -> Path:
    """Give a folder to the user that applications run as when we are root; returns it."""
    if os.geteuid() == 0:
        owner = pwd.getpwnam("nobody")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    return folder
