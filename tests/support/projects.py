"""The applications of the end-to-end tests, copied to a place of their own and prepared as their owners would."""

from __future__ import annotations

import os
import shutil
import subprocess
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
    for arguments in (
        ["migrate", "--verbosity", "0"],
        ["createsuperuser", "--noinput", "--username", ADMIN, "--email", "admin@example.com"],
        ["collectstatic", "--noinput", "--verbosity", "0"],
    ):
        subprocess.run(
            [python, "manage.py", *arguments],
            cwd=root,
            env=environ,
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
        )
    return hand_over(root)
