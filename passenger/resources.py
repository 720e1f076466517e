"""Where the files that travel with the package are: helper scripts, the example configuration, the schema.

In a wheel they lie in `passenger/data/`; in a checkout they are the top-level folders of the same names.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `helper_scripts`, `config` or `schema`. Raises FileNotFoundError when the installation is broken."""
    for candidate in (_PACKAGE / "data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"{name} is missing beside {_PACKAGE}: reinstall the package")


def helper_script(name: str) -> Path:
    """A file of `helper_scripts`."""
    return folder("helper_scripts") / name
