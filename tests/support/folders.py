"""Folders of tests that programs still tidy up while they end."""

from __future__ import annotations

import shutil
from pathlib import Path

ROUNDS = 20


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it. A worker that ends removes its own socket meanwhile: then look again."""
    for _ in range(ROUNDS):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            if not folder.exists():
                return
        else:
            return
    shutil.rmtree(folder)
