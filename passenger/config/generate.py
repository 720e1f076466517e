"""`python -m passenger.config.generate [--check]`: write what follows from the model, or say what has drifted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from passenger.config.example import example
from passenger.config.reference import reference
from passenger.config.schema import published_text


def artefacts() -> dict[str, str]:
    """Path in the checkout -> text."""
    return {
        "schema/passenger.schema.json": published_text(),
        "docs/configuration.md": reference(),
        "config/passenger.toml": example(),
    }


def drifted(root: Path) -> list[str]:
    """Paths of the files that do not say what the model says."""
    return [name for name, text in artefacts().items() if not _says(root / name, text)]


def write(root: Path) -> None:
    """Write every artefact into a checkout."""
    for name, text in artefacts().items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str], root: Path) -> int:
    """Exit status: 0 done or nothing drifted, 1 drifted, 2 usage."""
    if list(arguments) == ["--check"]:
        names = drifted(root)
        for name in names:
            sys.stderr.write(f"{name} has drifted from the model: run python -m passenger.config.generate\n")
        return 1 if names else 0
    if arguments:
        sys.stderr.write("usage: python -m passenger.config.generate [--check]\n")
        return 2
    write(root)
    return 0


def _says(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parents[2]))
