"""`python -m passenger.systemd.generate [--check]`: the Ansible role's copies of the units, or what has drifted.

The role copies files to hosts that have no Passenger yet; so it has copies of what `passenger install-systemd` writes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from passenger.systemd import units

FOLDER: Final = "ansible/roles/passenger_core/files"
ADDRESSES: Final = ("0.0.0.0:80", "[::]:80")
"""Of the role's passenger.socket, until a drop-in of the host names others."""


def artefacts() -> dict[str, str]:
    """Path in the checkout -> text."""
    settings = units.Settings()
    return {
        f"{FOLDER}/passenger.service": units.service(settings),
        f"{FOLDER}/passenger@.service": units.template(settings),
        f"{FOLDER}/passenger.socket": units.socket(ADDRESSES),
        f"{FOLDER}/passenger.slice": units.slice_of_all(),
    } | {f"{FOLDER}/dropins/{name}.conf": units.dropin(name) for name in units.DROPINS}


def drifted(root: Path) -> list[str]:
    """Paths of the files that do not say what is written here."""
    return [name for name, text in artefacts().items() if not _says(root / name, text)]


def main(arguments: Sequence[str], root: Path) -> int:
    """Exit status: 0 done or nothing drifted, 1 drifted, 2 usage."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write("usage: python -m passenger.systemd.generate [--check]\n")
        return 2
    names = drifted(root)
    for name in names:
        if arguments:
            sys.stderr.write(f"{name} has drifted: run python -m passenger.systemd.generate\n")
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(artefacts()[name], encoding="utf-8")
    return 1 if names and arguments else 0


def _says(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parents[2]))
