"""Applications of real frameworks, mounted into the `full` image as docs/containers.md says, without any configuration.

Their dependencies come from the `build` image, run on the same folder: what a developer without Python or Node.js does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.containerapps import HARDENED
from tests.support.engine import Engine
from tests.support.projects import APPS
from tests.support.running import CHECKOUT

EXAMPLES = CHECKOUT / "docker" / "examples"
DJANGO = "python3 -m venv .venv && .venv/bin/pip install -q 'django>=5,<6' && SECRET_KEY=x .venv/bin/python manage.py migrate -v 0"
BUNDLE = "bundle config set --local path vendor/bundle && bundle install --quiet"
EXPRESS = "npm install --omit=dev --no-audit --no-fund --loglevel=error"

pytestmark = pytest.mark.timeout(900)


def _prepared(engine: Engine, builder: str, source: Path, place: Path, command: str) -> Path:
    """A copy of an application with its dependencies in it."""
    app = Path(shutil.copytree(source, place / "app", ignore=shutil.ignore_patterns("__pycache__", "Dockerfile")))
    done = engine.once(
        builder,
        "sh",
        "-ec",
        f"{command} && chmod -R go+rwX .",
        options=("--user", "0", "--network", "host", "-v", f"{app}:/app"),
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return app


def test_django(engine: Engine, full: str, builder: str, place: Path) -> None:
    """With its database in the mounted folder: the login page, a redirect, and a page that is not there."""
    app = _prepared(engine, builder, APPS / "django_site", place, DJANGO)
    options = (*HARDENED, "-v", f"{app}:/app", "-e", "SECRET_KEY=of this test", "-e", "ALLOWED_HOSTS=*")
    with engine.running(full, options=options) as container:
        container.wait_ready()
        page = container.fetch("/admin/login/", host="localhost")
        assert page.status == 200, container.logs()
        assert "csrfmiddlewaretoken" in page.text
        assert container.fetch("/admin/", host="localhost").status == 302
        assert container.fetch("/none", host="localhost").status == 404
        assert "GET /admin/login/" in container.logs()
        assert container.stop() == 0


def test_sinatra(engine: Engine, full: str, builder: str, place: Path) -> None:
    """Its gems in vendor/bundle, found by the .bundle/config that `bundle config` wrote beside the Gemfile."""
    app = _prepared(engine, builder, EXAMPLES / "ruby", place, BUNDLE)
    with engine.running(full, options=(*HARDENED, "-v", f"{app}:/app:ro")) as container:
        assert container.wait_ready().fetch().text == "Hello from Sinatra\n", container.logs()
        assert container.stop() == 0


def test_express(engine: Engine, full: str, builder: str, place: Path) -> None:
    """The example of the docs, found by `main` in package.json, its packages installed by the documented step."""
    app = _prepared(engine, builder, EXAMPLES / "node", place, EXPRESS)
    with engine.running(full, options=(*HARDENED, "-v", f"{app}:/app:ro")) as container:
        assert container.wait_ready().fetch().text == "Hello from Express\n", container.logs()
        assert container.stop() == 0
