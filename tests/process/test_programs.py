"""How our programs start each other: with the interpreter at hand, and never with the current folder's modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from passenger.instance.programs import python_module
from tests.support.commands import CHECKOUT, clean_environment


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command to its end."""
    return subprocess.run(
        command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "path",
    [["elsewhere", str(CHECKOUT)], [str(CHECKOUT), "elsewhere"]],
    ids=["installed", "only through the first entry"],
)
def test_program_starts_wherever_the_package_is(
    path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed, or run from a checkout that is not."""
    monkeypatch.setattr(sys, "path", path)
    command = python_module("passenger")
    monkeypatch.undo()
    assert command[:2] == [sys.executable, "-P"]
    done = run([*command, "version", "--format", "json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"passenger"' in done.stdout


def test_checkout_is_handed_on_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-m` when it is enough."""
    monkeypatch.setattr(sys, "path", ["elsewhere", str(CHECKOUT)])
    assert python_module("passenger.watchdog")[2:] == ["-m", "passenger.watchdog"]
    monkeypatch.setattr(sys, "path", [str(CHECKOUT), "elsewhere"])
    assert python_module("passenger.watchdog")[-2:] == [str(CHECKOUT), "passenger.watchdog"]


def test_modules_of_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    """`passenger start` as root in somebody's project must not run the project's `json.py`."""
    (tmp_path / "json.py").write_text("raise SystemExit('imported')\n")
    done = run([*python_module("passenger"), "version", "--format", "json"], tmp_path)
    assert done.returncode == 0, done.stderr


def test_checkout_is_handed_on_again(tmp_path: Path) -> None:
    """A program started from a checkout starts the next one the same way: a second reload works like the first."""
    said = "from passenger.instance.programs import _FROM_CHECKOUT as code; print(code)"
    code = run([sys.executable, "-c", said], tmp_path).stdout.rstrip("\n")
    package = tmp_path / "checkout"
    package.mkdir()
    (package / "passenger").symlink_to(CHECKOUT / "passenger")
    (package / "asked.py").write_text(
        "from passenger.instance.programs import python_module\nprint(*python_module('x')[-2:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code, str(package), "asked"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == [str(CHECKOUT), "x"], done.stderr
