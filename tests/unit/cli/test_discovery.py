"""What `passenger start` finds in a project folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from passenger.cli.discovery import Found, discover


def project(root: Path, files: dict[str, str]) -> Path:
    """A folder with some files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "entry_point"),
    [
        ({"passenger_wsgi.py": "", "app.py": "app = 1"}, ""),
        ({"manage.py": "", "site/wsgi.py": "application = get()"}, "site.wsgi:application"),
        ({"wsgi.py": "from shop import create\napplication = create()"}, "wsgi:application"),
        ({"app.py": "from flask import Flask\napp = Flask(__name__)"}, "app:app"),
        ({"main.py": "def application(environ, start_response): ..."}, "main:application"),
        ({"wsgi.py": "from shop import app"}, "wsgi:app"),
        ({"wsgi.py": "from shop import thing as application"}, "wsgi:application"),
        ({"app.py": "app: Flask = Flask(__name__)"}, "app:app"),
        ({"app.py": "app = application = Flask(__name__)"}, "app:application"),
        ({"wsgi.py": "def broken(:", "app.py": "app = 1"}, "app:app"),
        ({"asgi.py": "", "main.py": "app = FastAPI()"}, ""),
        ({"config.ru": "", "app.py": "app = 1", "package.json": "{}"}, ""),
        ({"main.py": "app = FastAPI()", "package.json": '{"main": "x.js"}', "x.js": ""}, "main:app"),
    ],
)
def test_finds(tmp_path: Path, files: dict[str, str], entry_point: str) -> None:
    """The conventions, in their order."""
    found = discover(project(tmp_path, files))
    assert found is not None
    assert found.entry_point == entry_point
    assert found.evidence


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"app.py": "print('a script')"},
        {"app.py": "app: Flask"},
        {"app.py": "if True:\n    app = 1"},
        {"manage.py": "", "one/wsgi.py": "application = 1", "two/wsgi.py": "application = 2"},
        {"manage.py": "", "not-a-package/wsgi.py": "application = 1"},
        {"main.py": "\x00"},
        {"main.py": "app = " + "(" * 2000},
        {"package.json": '{"main": "missing.js"}'},
        {"package.json": '{"main": ["app"]}'},
        {"package.json": '{"main": ""}'},
        {"package.json": "[" * 100000},
        {"package.json": "no JSON"},
        {".meteor": "a file"},
        {"app.js/x": "a folder"},
    ],
)
def test_does_not_guess(tmp_path: Path, files: dict[str, str]) -> None:
    """No application, or more than one that it could be."""
    assert discover(project(tmp_path, files)) is None


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    """Nothing there is no crash."""
    assert discover(tmp_path / "missing") is None


def test_evidence_names_the_files(tmp_path: Path) -> None:
    """People are told what was found."""
    found = discover(project(tmp_path, {"manage.py": "", "site/wsgi.py": "application = 1"}))
    assert found == Found("site.wsgi:application", "manage.py and site/wsgi.py")


def test_node_by_its_package(tmp_path: Path) -> None:
    """As `node .` would find it; the type is said, whatever the file's name."""
    found = discover(project(tmp_path, {"package.json": '{"main": "src/server"}', "src/server": ""}))
    assert found == Found("", "`main` in package.json (src/server)", startup_file="src/server", app_type="node")


def test_startup_files_come_in_the_order_of_the_registry(tmp_path: Path) -> None:
    """A folder for Meteor, files for the others."""
    (tmp_path / ".meteor").mkdir()
    assert discover(tmp_path) == Found("", ".meteor")
    for name in ("app.js", "config.ru", "asgi.py", "passenger_asgi.py", "passenger_wsgi.py"):
        assert discover(project(tmp_path, {name: ""})) == Found("", name)
