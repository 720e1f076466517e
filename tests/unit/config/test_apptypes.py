"""The AppTypes registry: who decides what an application is, and that every row can be served."""

from __future__ import annotations

from typing import Any

import pytest

from passenger import resources
from passenger.config import apptypes
from passenger.config.apptypes import APP_TYPES, PYTHON, AppType
from passenger.config.model import App


def named(kind: AppType | None) -> str | None:
    return None if kind is None else kind.name


@pytest.mark.parametrize("kind", [*APP_TYPES, PYTHON], ids=lambda kind: kind.name)
def test_every_row_has_its_loader(kind: AppType) -> None:
    """What the table names lies in `helper_scripts`."""
    for script in filter(None, (kind.loader, kind.preloader)):
        assert (resources.folder("helper_scripts") / script).is_file()
    assert kind.process_title.startswith("Passenger ")


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({}, None),
        ({"app_type": "asgi", "entry_point": "a:b"}, "asgi"),
        ({"app_type": "node", "startup_file": "/srv/x.py"}, "node"),
        ({"app_type": "cobol"}, None),
        ({"app_start_command": "./x", "entry_point": "a:b"}, "generic"),
        ({"entry_point": "a:b"}, "python"),
        ({"startup_file": "/srv/asgi.py"}, "asgi"),
        ({"startup_file": "/srv/passenger_asgi.py"}, "asgi"),
        ({"startup_file": "/srv/other.py"}, "wsgi"),
        ({"startup_file": "/srv/blog.wsgi"}, "wsgi"),
        ({"startup_file": "/srv/admin.ru"}, "rack"),
        ({"startup_file": "/srv/main.cjs"}, "node"),
        ({"startup_file": "/srv/server"}, None),
    ],
)
def test_keys_decide_first(keys: dict[str, Any], name: str | None) -> None:
    """The type, the command, the entry point, the name of the startup file, in this order."""
    assert named(apptypes.told(App(app_root="/srv", **keys))) == name


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"passenger_wsgi.py", "app.js", "config.ru"}, "wsgi"),
        ({"asgi.py", "config.ru"}, "asgi"),
        ({"config.ru", "app.js"}, "rack"),
        ({"app.js", ".meteor"}, "node"),
        ({".meteor"}, "meteor"),
        ({"star.json", "main.js"}, "node"),
        ({"main.js"}, None),
        ({"star.json", ".meteor"}, "node"),
        ({"main.go"}, None),
        (set(), None),
    ],
)
def test_files_decide_in_the_order_of_the_table(files: set[str], name: str | None) -> None:
    """Rails with a package.json and an app.js is still Ruby."""
    assert named(apptypes.detect("/srv", exists={f"/srv/{file}" for file in files}.__contains__)) == name


def path_of(name: str, *there: str, **keys: Any) -> str | None:
    kind = apptypes.by_name(name)
    assert kind is not None
    return apptypes.startup_path(kind, App(app_root="/srv", **keys), exists=there.__contains__)


def test_what_is_loaded() -> None:
    """The named file, else the first that is there, else the first; nothing with an entry point or a command."""
    assert path_of("asgi") == "/srv/passenger_asgi.py"
    assert path_of("asgi", "/srv/asgi.py") == "/srv/asgi.py"
    assert path_of("asgi", startup_file="/srv/x/run.py") == "/srv/x/run.py"
    assert path_of("asgi", entry_point="a:b") is None
    assert path_of("rack", entry_point="a:b") == "/srv/config.ru"
    assert path_of("generic", app_start_command="./x", startup_file="/srv/y") is None
    assert path_of("meteor", startup_file="/srv/y.js") == "/srv/.meteor"


def test_what_is_loaded_of_a_built_meteor_application() -> None:
    """`star.json` says that it is one; a file that is named, and an `app.js`, say more."""
    assert path_of("node") == "/srv/app.js"
    assert path_of("node", "/srv/main.js") == "/srv/app.js"
    assert path_of("node", "/srv/star.json", "/srv/main.js") == "/srv/main.js"
    assert path_of("node", "/srv/star.json") == "/srv/main.js"
    assert path_of("node", "/srv/star.json", "/srv/app.js") == "/srv/app.js"
    assert path_of("node", "/srv/star.json", startup_file="/srv/x.js") == "/srv/x.js"
