"""The loader for Meteor in source form, with a program of that name that does what `meteor run` does."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.httploader import HttpLoader, http_loader, members

METEOR = (sys.executable, "-I", "-S", "meteor_loader.py")

FAKE = """#!/usr/bin/env node
// The port in this process, a child beside it, as `meteor run` has; only SIGINT ends it.
const http = require('http');
const { spawn } = require('child_process');
const port = Number(process.argv[process.argv.indexOf('-p') + 1]);
spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
process.on('SIGTERM', () => console.log('SIGTERM'));
process.on('SIGINT', () => { console.log('SIGINT'); setTimeout(() => process.exit(0), 10); });
setTimeout(() => {
  console.log('=> App running at: http://localhost:' + port);
  http.createServer((req, res) => res.end(JSON.stringify(process.argv.slice(2)))).listen(port, '127.0.0.1');
}, 100);
"""


@contextmanager
def meteor(program: str = FAKE, *, home: str = "/no/home", **options: str) -> Iterator[HttpLoader]:
    """The loader, with `program` as the only `meteor` there is."""
    tools = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    (tools / "meteor").write_text(program)
    (tools / "meteor").chmod(0o755)
    try:
        path = f"{tools}:{os.environ['PATH']}"
        with http_loader(
            METEOR, {".meteor/release": "METEOR@3.0"}, env={"PATH": path, "HOME": home}, **options
        ) as made:
            yield made
    finally:
        shutil.rmtree(tools)


def test_it_is_run_on_a_port_of_ours() -> None:
    """Announced when it accepts; ended by SIGINT to its whole group."""
    with meteor(environment="development") as made:
        port = made.address.removeprefix("tcp://127.0.0.1:")
        assert json.loads(made.http().fetch()) == ["run", "-p", port]
        assert len(members(made.process.pid)) == 3
        made.end_of_stdin()
        assert made.rest() == "SIGINT\n"
        assert made.status() == 0
        assert members(made.process.pid) == []


def test_settings_and_production_are_passed_on() -> None:
    with meteor(environment="production", meteor_app_settings="my settings.json") as made:
        arguments = json.loads(made.http().fetch())
        assert arguments[3:] == ["--settings", "my settings.json", "--production"]


def test_a_meteor_that_fails_is_explained() -> None:
    with meteor("#!/bin/sh\necho 'no such release' >&2\nexit 254\n") as made:
        assert made.explanation().strip() == "the command ended with status 254 before it listened"
        assert "no such release" in made.errors()
        assert made.status() == 1


def test_the_one_in_the_users_home_is_found() -> None:
    """Where Meteor's installer puts it; PATH goes first."""
    home = Path(tempfile.mkdtemp(dir="/tmp", prefix="pp"))
    (home / ".meteor").mkdir()
    (home / ".meteor" / "meteor").write_text(FAKE.replace("process.argv.slice(2)", "'from the home'"))
    (home / ".meteor" / "meteor").chmod(0o755)
    try:
        with http_loader(METEOR, {".meteor/release": ""}, env={"HOME": str(home)}) as made:
            assert json.loads(made.http().fetch()) == "from the home"
        with meteor(home=str(home)) as made:
            assert json.loads(made.http().fetch())[0] == "run"
    finally:
        shutil.rmtree(home)


def test_a_missing_meteor_is_explained() -> None:
    """With the places that were searched."""
    with http_loader(METEOR, {}, env={"PATH": "/nonexistent", "HOME": "/no/home"}) as made:
        text = made.explanation()
        assert "`meteor` is neither in PATH (/nonexistent) nor /no/home/.meteor/meteor" in text
        assert "meteor build" in text
