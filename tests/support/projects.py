"""The applications of the end-to-end tests, copied to a place of their own and prepared as their owners would."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.installation import hand_over

APPS = Path(__file__).resolve().parents[1] / "e2e" / "apps"
ADMIN, PASSWORD = "admin", "correct horse battery staple"


def copy(name: str, to: Path) -> Path:
    """A copy of an application that a test may break."""
    return hand_over(Path(shutil.copytree(APPS / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))))


def django_site(python: str, to: Path) -> Path:
    """The Django project: migrated, with an administrator and collected static files."""
    root = copy("django_site", to)
    environ = os.environ | {
        "SECRET_KEY": "only for the set-up",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    commands = (
        ["migrate", "--verbosity", "0"],
        ["createsuperuser", "--noinput", "--username", ADMIN, "--email", "admin@example.com"],
        ["collectstatic", "--noinput", "--verbosity", "0"],
    )
    _run_in(root, environ, ([python, "manage.py", *arguments] for arguments in commands))
    return hand_over(root)


def rails_site(to: Path) -> Path:
    """What `rails new` and its scaffold generator make, with our additions: migrated, its assets compiled."""
    root = to / "rails_site"
    environ = os.environ | {"RAILS_ENV": "production", "SECRET_KEY_BASE": "only for the set-up"}
    leave_out = ("--minimal", "--skip-bundle", "--skip-git", "--skip-javascript", "--skip-test", "--skip-gemfile")
    _run_in(to, environ, [["rails", "new", root.name, "--quiet", *leave_out]])
    shutil.copytree(APPS / root.name, root, dirs_exist_ok=True)
    commands = (
        ["bundle", "lock", "--local"],
        ["bin/rails", "generate", "scaffold", "note", "title:string", "--quiet", "--skip-routes"],
        ["bin/rails", "db:migrate"],
        ["bin/rails", "assets:precompile"],
    )
    _run_in(root, environ, commands)
    return hand_over(root)


def _run_in(folder: Path, environ: Mapping[str, str], commands: Iterable[list[str]]) -> None:
    for command in commands:
        done = subprocess.run(
            command, cwd=folder, env=environ, check=False, timeout=120, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
