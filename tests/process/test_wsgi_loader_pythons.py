"""The loader runs under the application's Python, which may be older or newer than ours: every one that is here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.loader import loader

APP = """
import sys
from wsgiref.validate import validator
def app(environ, start_response):
    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%d.%d " % sys.version_info[:2]).encode(), data]
application = validator(app)
"""


def interpreters() -> dict[str, str]:
    """Version -> program, from PATH and from the places where version managers put them, as far as they run."""
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    for minor in range(8, 15):
        if path := shutil.which(f"python3.{minor}"):
            found.setdefault(f"3.{minor}", path)
    for place in Path(os.environ.get("PYENV_ROOT", "/nonexistent"), "versions").glob("3.*/bin/python3"):
        version = re.match(r"3\.\d+", place.parts[-3])
        if version and int(version[0][2:]) >= 8:
            found[version[0]] = str(place)
    return {version: python for version, python in found.items() if runs(version, python)}


def runs(version: str, python: str) -> bool:
    """Whether the program is that Python: a version manager's stand-in may refuse to be one."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    return done.stdout.strip() == version


@pytest.mark.parametrize(("version", "python"), sorted(interpreters().items()))
@pytest.mark.parametrize("threads", [1, 2])
def test_requests_are_answered_under_each_python(version: str, python: str, threads: int) -> None:
    """From 3.8 on: start, body, chunked response, second request, end, and no warning."""
    with loader(APP, python=python, threads=threads) as made:
        conn = made.connect()
        for body in (b"first", b"second" * 50_000):
            conn.send({}, body)
            assert conn.response()[2] == f"{version} ".encode() + body
        made.end_of_stdin()
        assert made.status() == 0
        assert made.errors() == ""
