"""Ansible and Molecule as their users call them: a subprocess with a deadline, and what its recap says.

They come from the same environment as the tests (`./dev test ansible` installs them), and run in the folder `ansible`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.running import CHECKOUT

FOLDER = CHECKOUT / "ansible"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\")
_RECAP = re.compile(r"(?m)^\W*(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)")


@dataclass(frozen=True, slots=True)
class Counts:
    """What the recap says of one host."""

    ok: int
    changed: int
    unreachable: int
    failed: int


@dataclass(frozen=True, slots=True)
class Played:
    """A run that has ended."""

    status: int
    output: str

    @property
    def recaps(self) -> list[dict[str, Counts]]:
        """Of each playbook of the run, by host."""
        return [
            {name: Counts(*map(int, numbers)) for name, *numbers in _RECAP.findall(part)}
            for part in self.output.split("PLAY RECAP")[1:]
        ]

    @property
    def words(self) -> str:
        """All output in one line: messages are wrapped where a terminal would end."""
        return " ".join(self.output.replace("│", " ").split())


def run(*command: str, deadline: float, environment: Mapping[str, str] | None = None) -> Played:
    """Run a command of Ansible's; what it printed, without colours."""
    tools = Path(sys.executable).parent
    settings = {"PATH": f"{tools}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", check=False, timeout=deadline, env={**os.environ, **settings, **(environment or {})},
    )  # fmt: skip
    return Played(done.returncode, _COLOUR.sub("", done.stdout))


def molecule(*arguments: str, deadline: float, environment: Mapping[str, str] | None = None) -> Played:
    """One command of Molecule."""
    return run("molecule", *arguments, deadline=deadline, environment=environment)
