"""What a project folder serves when nobody wrote a configuration: only for `passenger start` in such a folder.

Tried in this order, and what was found is said on the terminal:
1. What the AppTypes registry knows, in its order: `passenger_wsgi.py`, `asgi.py`, `config.ru`, `app.js`, `.meteor`, ...
2. `manage.py` and exactly one `PACKAGE/wsgi.py` that assigns `application`: a Django project.
3. `wsgi.py`, `app.py`, `main.py` that assigns `application` or `app` at its top level: Flask, FastAPI and their kind.
4. `package.json` whose `main` is there: a Node.js application.

Files are parsed, never run, and only as the user who owns the project would read them: regular files of a sane size.
"""

from __future__ import annotations

import ast
import json
import stat
from pathlib import Path

from passenger.config.apptypes import APP_TYPES, AppType
from passenger.lazy_dataclass import dataclass

MODULES = ("wsgi.py", "app.py", "main.py")
OBJECTS = ("application", "app")
LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """How to load the application; `evidence` is for people.

    `entry_point` "" means by its startup file, and `startup_file` "" by one whose name is in the registry.
    """

    entry_point: str
    evidence: str
    startup_file: str = ""
    app_type: str = ""


def discover(folder: Path) -> Found | None:
    """The application in a folder, or None. Raises PermissionError for what might be one and cannot be read."""
    for kind in APP_TYPES:
        for file in kind.evidence:
            if _is_startup_file(folder / file, kind):
                return Found("", file)
    if (folder / "manage.py").is_file() and (django := _django(folder)):
        return django
    for module in MODULES:
        if name := _first_object(folder / module):
            return Found(f"{module.removesuffix('.py')}:{name}", f"`{name}` in {module}")
    return _node(folder)


def _is_startup_file(path: Path, kind: AppType) -> bool:
    return path.is_dir() if kind.is_folder else path.is_file()


def _node(folder: Path) -> Found | None:
    """What package.json names as `main`; it has to be a file of the project."""
    try:
        package = json.loads(_content(folder / "package.json"))
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError):
        return None
    main = package.get("main") if isinstance(package, dict) else None
    if not isinstance(main, str) or not main.isprintable() or not main or not (folder / main).is_file():
        return None
    return Found("", f"`main` in package.json ({main})", startup_file=main, app_type="node")


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
        tree = ast.parse(_content(file))
    except PermissionError:
        raise
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None  # a broken module is no evidence; the other places are tried
    names = {name for statement in tree.body for name in _bound(statement)}
    return next((name for name in OBJECTS if name in names), None)


def _content(file: Path) -> bytes:
    """A regular file of a sane size. Raises OSError for anything else."""
    facts = file.stat()
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
        raise OSError(f"{file} is no source file")
    return file.read_bytes()


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
