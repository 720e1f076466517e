"""`passenger` commands as children of a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TIMEOUT = 60.0
PROGRAM = "from passenger.cli import main; main.{}()"


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment of a command: ours without Passenger's variables, and without colour."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PASSENGER")}
    return clean | {"PYTHONPATH": str(CHECKOUT), "NO_COLOR": "1", "COLUMNS": "100"} | variables


def passenger(
    *arguments: str, cwd: Path, stdin: str | bytes = b"", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m passenger ARGUMENTS` to its end."""
    return _run([sys.executable, "-m", "passenger", *arguments], cwd, stdin, variables)


def passenger_status(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the `passenger-status` program to its end."""
    return program("passenger-status", *arguments, cwd=cwd, **variables)


def program(name: str, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of the installed programs by its entry point to its end."""
    entry = "main" if name == "passenger" else name.replace("-", "_")
    return _run([sys.executable, "-c", PROGRAM.format(entry), *arguments], cwd, b"", variables)


def _run(
    command: list[str], cwd: Path, stdin: str | bytes, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        command,
        cwd=cwd,
        input=data,
        env=clean_environment(**variables),
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
    )
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
