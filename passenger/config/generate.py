"""`python -m passenger.config.generate [--check]`: write what follows from the model, or say what has drifted."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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


def drifted(root: Path, texts: Mapping[str, str] | None = None) -> list[str]:
    """Paths of the files that do not say what the model says."""
    return [name for name, text in (texts or artefacts()).items() if not _says(root / name, text)]


def write(root: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write every artefact into a checkout."""
    for name, text in (texts or artefacts()).items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def main(
    arguments: Sequence[str],
    root: Path,
    texts: Mapping[str, str] | None = None,
    program: str = "passenger.config.generate",
) -> int:
    """Exit status: 0 done or nothing drifted, 1 drifted, 2 usage. `texts`: other artefacts, of another program."""
    if list(arguments) == ["--check"]:
        names = drifted(root, texts)
        for name in names:
            sys.stderr.write(f"{name} has drifted from the model: run python -m {program}\n")
        return 1 if names else 0
    if arguments:
        sys.stderr.write(f"usage: python -m {program} [--check]\n")
        return 2
    write(root, texts)
    return 0


def _says(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parents[2]))
