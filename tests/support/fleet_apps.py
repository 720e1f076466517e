"""The applications of the fleet: a Django site as archives, a Sinatra shop as a Git repository, each in several releases."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.support.running import CHECKOUT

APPS = CHECKOUT / "tests" / "ansible" / "apps"
REQUIREMENTS = tuple((APPS / "blog" / "requirements.txt").read_text().split())
BLOG = ("first", "second", "sick", "broken")
"""`sick` starts and answers 500, `broken` does not start."""
SHOP = ("first", "second")


def write(folder: Path) -> None:
    """`blog-RELEASE.tar.gz`, and `shop.git` with a tag for each release; everybody may read them."""
    folder.mkdir(parents=True)
    for release in BLOG:
        with tempfile.TemporaryDirectory(prefix="ppapp") as place:
            copy = _with_release("blog", Path(place) / "blog", release)
            with tarfile.open(folder / f"blog-{release}.tar.gz", "w:gz") as archive:
                archive.add(copy, ".")
    with tempfile.TemporaryDirectory(prefix="ppapp") as place:
        for release in SHOP:
            copy = _with_release("shop", Path(place) / "shop", release)
            _git(copy, "init", "--quiet", "--initial-branch=main")
            _git(copy, "add", ".")
            _git(copy, "commit", "--quiet", "-m", release)
            _git(copy, "tag", release)
        _git(copy, "clone", "--quiet", "--bare", ".", str(folder / "shop.git"))


def _with_release(app: str, copy: Path, release: str) -> Path:
    shutil.copytree(APPS / app, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "release").write_text(f"{release}\n")
    return copy


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=tests", "-c", "user.email=tests@example.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
