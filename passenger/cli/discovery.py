"""What a project folder serves when nobody wrote a configuration: only for `passenger start` in such a folder.

Tried in this order, and what was found is said on the terminal:
1. `passenger_wsgi.py`: Passenger's own convention.
2. `manage.py` and exactly one `PACKAGE/wsgi.py` that assigns `application`: a Django project.
3. `wsgi.py`, `app.py`, `main.py` that assigns `application` or `app` at its top level: Flask and its kind.

Files are parsed, never run, and only as the user who owns the project would read them: regular files of a sane size.
"""

from __future__ import annotations

import ast
import stat
from dataclasses import dataclass
from pathlib import Path

STARTUP_FILE = "passenger_wsgi.py"
MODULES = ("wsgi.py", "app.py", "main.py")
OBJECTS = ("application", "app")
LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """How to load the application: `entry_point` "" means by its startup file. `evidence` is for people."""

    entry_point: str
    evidence: str


def discover(folder: Path) -> Found | None:
    """The application in a folder, or None."""
    if (folder / STARTUP_FILE).is_file():
        return Found("", STARTUP_FILE)
    if (folder / "manage.py").is_file() and (django := _django(folder)):
        return django
    for module in MODULES:
        if name := _first_object(folder / module):
            return Found(f"{module.removesuffix('.py')}:{name}", f"`{name}` in {module}")
    return None


def _django(folder: Path) -> Found | None:
    packages = [
        path.parent.name
        for path in sorted(folder.glob("*/wsgi.py"))
        if path.parent.name.isidentifier() and _first_object(path) == "application"
    ]
    if len(packages) != 1:
        return None
    return Found(f"{packages[0]}.wsgi:application", f"manage.py and {packages[0]}/wsgi.py")


def _first_object(file: Path) -> str | None:
    """The WSGI object that a module assigns or defines at its top level."""
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
            return None
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None  # a broken module is no evidence; the other places are tried
    names = {name for statement in tree.body for name in _bound(statement)}
    return next((name for name in OBJECTS if name in names), None)


def _bound(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            return [name]
        case ast.FunctionDef(name=name):
            return [name]
        case ast.ImportFrom(names=names) | ast.Import(names=names):
            return [alias.asname or alias.name for alias in names]
    return []
